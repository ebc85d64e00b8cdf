"""Parts that are replaced before a trace have equal numbers."""

import pytest
import torch
from torch import nn

from mmvig.export.dynamic import AveragePoolToGrid, for_any_size
from tests.support.backbone_cases import CASES


@pytest.mark.parametrize('grid', [1, 2, 3, 6, (1, 4), (3, None), (None, 2)])
def test_average_pooling_to_a_grid(grid):
    for size in ((1, 1), (2, 7), (6, 5), (13, 40)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(AveragePoolToGrid(grid)(x), nn.AdaptiveAvgPool2d(grid)(x))


def test_pooling_is_replaced_wherever_it_stands():
    model = nn.ModuleDict({'a': nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.ReLU())})
    changed = for_any_size(model)
    assert type(changed['a'][0]) is AveragePoolToGrid
    assert type(model['a'][0]) is nn.AdaptiveAvgPool2d, 'the model itself stays as it was'


@pytest.mark.parametrize('form', ['parallel', 'recurrent'])
def test_all_forms_of_retention_become_the_one_with_the_operator(form):
    case = CASES['ViR-bidirectional']
    model = case.build(arch=case.sizes, out_indices=(0,), form=form).eval()
    x = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        (before,), (after,) = model(x), for_any_size(model)(x)
    torch.testing.assert_close(after, before)


def test_a_backbone_with_the_reference_gets_a_backend_that_is_traced():
    case = CASES['MultiScaleViG']
    model = case.build(arch=case.sizes, out_indices=(1,), op_backend='reference')
    backends = {m.backend for m in for_any_size(model).modules() if hasattr(m, 'backend')}
    assert backends == {'auto'}
