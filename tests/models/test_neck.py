"""The simple feature pyramid: strides, widths, memory layout."""

import importlib

import pytest
import torch

from mmvig.models.necks.simple_feature_pyramid import SimpleFeaturePyramid
from tests.support.backbone_cases import CASES


@pytest.mark.parametrize('num_outs', [4, 5, 6])
@pytest.mark.parametrize('size', [(1, 1), (5, 7), (8, 6)])
def test_levels(size, num_outs):
    neck = SimpleFeaturePyramid([24], out_channels=16, num_outs=num_outs)
    levels = neck([torch.randn(2, 24, *size)])
    rows, columns = size
    expected = [(4 * rows, 4 * columns), (2 * rows, 2 * columns), (rows, columns)]
    for _ in range(num_outs - 3):
        rows, columns = -(-rows // 2), -(-columns // 2)
        expected.append((rows, columns))
    assert [x.shape for x in levels] == [(2, 16, *e) for e in expected]
    for x in levels:
        assert x.stride() == torch.empty(x.shape).stride(), 'RoIAlign reads anything else wrongly'
    sum(x.square().sum() for x in levels).backward()
    assert all(p.grad is not None for p in neck.parameters())


@pytest.mark.parametrize('name', ['PlainViG', 'ViR'])
def test_strides_on_a_plain_backbone(name):
    backbone = CASES[name].build()
    levels = SimpleFeaturePyramid(backbone.out_channels, 16)(backbone(torch.randn(1, 3, 64, 96)))
    assert [(64 // x.shape[2], 96 // x.shape[3]) for x in levels[:4]] == [
        (stride, stride) for stride in (4, 8, 16, 32)
    ]


def test_one_map_for_each_level():
    """Each level reads its own map only; of one map all levels are made."""
    maps = [torch.randn(1, 8, 4, 4, requires_grad=True) for _ in range(4)]
    levels = SimpleFeaturePyramid([8] * 4, 16, num_outs=4)(maps)
    for i, level in enumerate(levels):
        grads = torch.autograd.grad(
            level.square().sum(), maps, retain_graph=True, allow_unused=True
        )
        assert [grad is not None for grad in grads] == [j == i for j in range(4)]


def test_levels_may_start_later():
    """The levels from the first one on are those that are made with all."""
    whole = SimpleFeaturePyramid([24], 16, num_outs=6)
    part = SimpleFeaturePyramid([24], 16, num_outs=5, start_level=1)
    part.levels.load_state_dict(whole.levels[1:].state_dict())
    x = torch.randn(1, 24, 4, 6)
    for found, expected in zip(part([x]), whole([x])[1:], strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('library', ['mmdet', 'mmseg', 'mmpretrain'])
def test_builds_by_its_scoped_name(library):
    registry = importlib.import_module(f'{library}.registry').MODELS
    neck = registry.build(dict(type='mmvig.SimpleFeaturePyramid', in_channels=[8]))
    assert isinstance(neck, SimpleFeaturePyramid)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r'one entry, or one for each of 4 levels, got \[8, 8\]'):
        SimpleFeaturePyramid([8, 8])
    with pytest.raises(ValueError, match='num_outs of at least 4, got 3'):
        SimpleFeaturePyramid([8], num_outs=3)
    with pytest.raises(ValueError, match='start_level within 0 … 3, got 4'):
        SimpleFeaturePyramid([8], start_level=4)
    with pytest.raises(ValueError, match='expected 1 maps, as in_channels says, got 2'):
        SimpleFeaturePyramid([8])([torch.zeros(1, 8, 2, 2)] * 2)
