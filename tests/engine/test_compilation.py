"""`compile` of a config: a part of the model as one graph, and workers that load beside it."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.torch_version import TorchVersion

from mmvig.engine.compilation import compile_part

# Every stage is one block of few channels.
ARCH = dict(channels=(16,) * 4, depths=(1,) * 4, heads=(1,) * 4, hidden=(16,) * 4)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image_BCYX):
        return self.conv(image_BCYX).relu()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image_BCYX):
        maps_BCYX = self.backbone(image_BCYX)
        return self.head(
            maps_BCYX * maps_BCYX.mean().item()
        )  # numbers leave the graph, as in losses


@pytest.mark.parametrize('target', ['backbone', 'backbone.forward'])
def test_a_part_is_one_graph_and_keeps_its_weights(target):
    """A copy, as for averaged weights, has its own."""
    model, counter = Model(), CompileCounter()
    weights = model.state_dict()
    images = [torch.randn(1, 3, *size) for size in ((8, 9), (12, 10), (7, 16))]
    expected = [model(image) for image in images]
    torch.compiler.reset()
    options = dict(target=target, dynamic=True, fullgraph=True, backend=counter)
    assert 'model.backbone' in compile_part(model, options)
    for image, result in zip(images, expected, strict=True):
        torch.testing.assert_close(model(image), result)
    assert counter.frame_count == 1
    assert model.state_dict().keys() == weights.keys()
    average = copy.deepcopy(model)
    average.backbone.conv.bias.data.add_(1)
    assert not torch.equal(average(images[0]), model(images[0]))


@pytest.mark.parametrize('options', [None, False, {'disable': True}])
def test_nothing_is_compiled_or_said(options):
    assert compile_part(Model(), options) == ''


@pytest.mark.parametrize('options', [True, {}, {'dynamic': True}])
def test_the_whole_step_is_left_to_mmengine_and_said(options):
    model = Model()
    assert "compile=dict(target='backbone', dynamic=True)" in compile_part(model, options)
    assert model.backbone._compiled_call_impl is None


needs_newer_torch = pytest.mark.skipif(
    torch.__version__ < TorchVersion('2.6'), reason='needs torch 2.6'
)

CONFIG = f"""
_base_ = './seg.py'
compile = COMPILE
model = dict(
    backbone=dict(arch=dict(_delete_=True, **{ARCH})),
    decode_head=DECODE_HEAD,
    auxiliary_head=None,
)
train_dataloader = dict(num_workers=2, persistent_workers=True)
val_dataloader = dict(num_workers=2)
train_cfg = dict(max_iters=2, val_interval=2)
"""
UPER_HEAD = 'dict(in_channels=[16] * 4, channels=16)'
FCN_HEAD = (
    "dict(_delete_=True, type='FCNHead', in_channels=16, in_index=0, channels=16, num_convs=1, "
    "concat_input=False, num_classes=3, loss_decode=dict(type='CrossEntropyLoss'))"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'head'),
    [
        ("dict(target='decode_head.fpn_bottleneck')", UPER_HEAD),  # small: by torch's own compiler
        # The whole step, of which only the graphs are made; torch 2.4 fails at them.
        pytest.param("dict(backend='eager')", FCN_HEAD, marks=needs_newer_torch),
    ],
    ids=['part', 'step'],
)
def test_training_with_workers_comes_to_its_end(options, head, input_folder, cli):
    """Workers are forked before the first graph, and after it to validate."""
    torch.compiler.reset()
    config = CONFIG.replace('COMPILE', options).replace('DECODE_HEAD', head)
    Path('compiled.py').write_text(config)
    done = cli.run('train', 'compiled.py', '--work-dir', 'out')
    assert done.status == 0, done.err[-3000:]
    assert 'compile: ' in done.out + done.err
    assert 'mIoU' in done.out + done.err
    assert Path('out/iter_2.pth').is_file()
