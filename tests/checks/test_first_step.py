"""Where the first step fails is told by the part of the model, and only there."""

import pytest
import torch
from torch import nn

from mmvig.checks import UserError
from mmvig.checks.first_step import FirstStep
from mmvig.models.backbones import MultiScaleViG
from mmvig.ops.tokenwise import CHUNK_TOKENS


class Refusing(nn.Module):
    def forward(self, x):
        raise AssertionError


@pytest.mark.parametrize(
    ('layer', 'inputs', 'words'),
    [
        (nn.Linear(4, 2), torch.zeros(3, 5), 'expected model.0 to read 5 channels'),
        (nn.Conv2d(4, 2, 1), torch.zeros(1, 5, 2, 2), 'expected model.0 to read 5 channels'),
        (nn.Conv2d(4, 2, 1), torch.zeros(5, 2, 2), 'expected model.0 to read 5 channels'),
        (nn.Conv1d(4, 2, 1), torch.zeros(1, 5, 2), 'expected model.0 to read 5 channels'),
    ],
)
def test_other_widths_are_told(layer, inputs, words):
    model = nn.Sequential(layer)
    watch = FirstStep(model)
    with pytest.raises(UserError, match=words):
        model(inputs)
    watch.close()
    with pytest.raises(RuntimeError):  # torch's own words again
        model(inputs)


def test_the_part_and_the_line_are_told():
    model = nn.ModuleDict({'head': nn.Sequential(nn.ReLU(), Refusing())})
    watch = FirstStep(model)
    with pytest.raises(AssertionError) as error:
        model['head'](torch.zeros(1))
    assert watch.describe(error.value).startswith('model.head.1, test_first_step.py:')


def test_what_fits_runs_as_before():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, groups=1), nn.Flatten(), nn.Linear(4, 2))
    x = torch.randn(2, 3, 3, 3)
    expected = model(x)
    watch = FirstStep(model)
    assert torch.equal(model(x), expected)
    assert watch.describe(ValueError()) == '', 'nothing is at work'


def test_it_changes_no_number():
    """Of a map whose tokens go in chunks: a resumed training would depart by rounding."""
    torch.manual_seed(0)
    model = MultiScaleViG(arch='nano', out_indices=(0, 1))
    weights = [p for p in model.parameters() if p.requires_grad]
    image = torch.randn(1, 3, 224, 256)
    assert CHUNK_TOKENS < 56 * 64

    def gradients() -> tuple[torch.Tensor, ...]:
        loss = sum(x.square().mean() for x in model(image))
        return torch.autograd.grad(loss, weights, allow_unused=True)

    expected = gradients()
    watch = FirstStep(model)
    for found, grad in zip(gradients(), expected, strict=True):
        assert (found is None and grad is None) or torch.equal(found, grad)
    assert watch.describe(ValueError()) == ''


def test_a_first_step_that_fails_is_one_line(input_folder, cli):
    """One of the host's own, which none of the checks knows."""
    option = 'model.roi_head.mask_head.loss_mask.use_mask=False'
    message = cli.user_error('train', 'det.py', '--cfg-options', option)
    assert message.startswith('the first step fails, at ')
    assert 'MMVIG_TRACEBACK=1 shows the whole traceback' in message
