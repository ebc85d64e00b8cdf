"""Models of mmdet in bfloat16: what stays in float32, and that nothing is left behind."""

import pytest
import torch
from torch import nn

from mmvig.engine.mixed_precision import bfloat16, predict_in_bfloat16
from mmvig.engine.optimizers import BFloat16OptimWrapper
from tests.support import batches, detectors


@pytest.fixture(scope='module', params=['retinanet', 'cascade'])
def detector(request) -> nn.Module:
    return detectors.build(detectors.config(request.param))


def losses(model: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)  # samplers draw
    data = model.data_preprocessor(batches.det_batch(), True)
    found = model(**data, mode='loss')
    return {
        name: torch.stack(x if isinstance(x, list) else [x]).mean()
        for name, x in found.items()
        if 'loss' in name
    }


def test_losses_and_gradients(detector):
    """Those of the first stage are float32's up to the precision; later ones see other boxes."""
    exact = losses(detector)
    with bfloat16(detector):
        found = losses(detector)
    assert {x.dtype for x in found.values()} == {torch.float32}
    first = [name for name in found if 'rpn' in name] or list(found)
    for name in first:
        torch.testing.assert_close(found[name], exact[name], rtol=0.03, atol=0)  # 0.01 measured
    sum(found.values()).backward()
    grads = [p.grad for p in detector.parameters() if p.grad is not None]
    assert grads
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)
    detector.zero_grad()


def test_boxes_are_not_rounded(detector):
    """bfloat16 has eight digits: from 256 on, boxes would lie on a grid of two pixels and more."""
    model, size = detector, (320, 384)
    image = detectors.image(*size)
    with bfloat16(model):
        boxes = detectors.predict(model, image, size).bboxes
    assert boxes.dtype == torch.float32
    far = boxes[boxes > 256]
    far = far[(far != size[0]) & (far != size[1])]
    assert len(far) > 10
    assert (far != far.bfloat16()).float().mean() > 0.9


def test_it_ends_with_the_context_also_by_an_error(detector):
    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in detector.modules())

    def fail() -> None:
        with bfloat16(detector):
            seen.append(hooks())
            raise ZeroDivisionError

    before, seen = hooks(), []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen[0] > before
    assert hooks() == before
    assert not torch.is_autocast_enabled('cpu')


class Nested(nn.Module):
    """Returns what libraries do: structures of structures."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        from mmengine.structures import InstanceData, PixelData
        from mmseg.structures import SegDataSample

        y = self.layer(x)
        assert y.dtype == torch.bfloat16
        instances = InstanceData(scores=y[:, 0], labels=torch.arange(len(y)))
        sample = SegDataSample(seg_logits=PixelData(data=y[None]))
        return [{'a': (y, 'text')}, instances, sample]


def test_predictions_are_in_float32():
    model = Nested()
    predict_in_bfloat16(model)
    named, instances, sample = model(torch.randn(3, 8))
    assert named['a'][0].dtype == instances.scores.dtype == torch.float32
    assert sample.seg_logits.data.dtype == torch.float32
    assert named['a'][1] == 'text'
    assert instances.labels.dtype == torch.int64


def test_checkpoints_of_mmengines_wrapper_resume():
    """They hold the state of a loss scaler, too."""
    layer = nn.Linear(2, 2)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.5))
    state = wrapper.state_dict() | {'loss_scaler': {'scale': 65536.0}}
    state['param_groups'][0]['lr'] = 0.25
    wrapper.load_state_dict(state)
    assert wrapper.get_lr()['lr'] == [0.25]
