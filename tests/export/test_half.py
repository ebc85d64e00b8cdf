"""Parts of a model in float16 between casts."""

import pytest
import torch
from torch import nn

from mmvig.export.dynamic import for_any_size
from mmvig.export.half import with_float16_parts
from tests.support.backbone_cases import CASES


class Calling(nn.Module):
    """Calls its parts in the ways of the MM libraries."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.decode_head = nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))
        self.bbox_head = nn.Conv2d(5, 2, 1)

    def forward(self, x):
        x = self.backbone(x)
        assert x.dtype == torch.float32
        x = self.decode_head.forward(x)
        assert x.dtype == torch.float32
        return self.bbox_head(x)


def test_parts_take_and_give_float32():
    model = Calling().eval()
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        before, after = model(x), with_float16_parts(model)(x)
    assert after.dtype == torch.float32
    assert model.backbone.weight.dtype == model.decode_head[0].weight.dtype == torch.float16
    assert model.bbox_head.weight.dtype == torch.float32
    assert 0 < (after - before).abs().max() < 5e-3


@pytest.mark.parametrize('name', CASES)
def test_every_backbone_runs_in_float16(name):
    case = CASES[name]
    stages = case.sizes['channels']
    last = len(stages) - 1 if isinstance(stages, tuple) else 0
    model = case.build(arch=case.sizes, out_indices=(last,))
    whole = nn.ModuleDict({'backbone': for_any_size(model.eval())})
    x = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        (before,) = model(x)
        (after,) = with_float16_parts(whole)['backbone'](x)
    assert after.dtype == torch.float32
    error = (after - before).abs().max() / before.abs().max()
    assert 0 < error < 5e-3  # measured: 1.3e-3
