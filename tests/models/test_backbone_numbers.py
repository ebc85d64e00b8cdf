"""Every backbone in half precision on images that are no photos: all numbers stay finite."""

import pytest
import torch

from tests.support.backbone_cases import CASES

SCALES = {f'times {scale:g}': scale for scale in (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e2, 1e3)}
FLAT = {'black': 0.0, 'white': 255.0, 'constant': -0.7}
SIZES = {'one pixel': (1, 1), 'one row': (1, 4096), 'one column': (4096, 1)}


def image(name: str) -> torch.Tensor:
    if name in SCALES:
        return torch.randn(2, 3, 33, 50) * SCALES[name]
    if name in FLAT:
        return torch.full((2, 3, 33, 50), FLAT[name])
    return torch.randn(1, 3, *SIZES[name])


@pytest.fixture(scope='module', params=CASES)
def model(request):
    torch.manual_seed(0)
    case = CASES[request.param]
    multi_scale = isinstance(case.sizes['channels'], tuple)
    return case.build(arch=case.sizes, **(dict(out_indices=(0, 1)) if multi_scale else {}))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', [*SCALES, *FLAT, *SIZES])
def test_outputs_and_gradients_are_finite(model, dtype, name):
    model.zero_grad()
    given = image(name).requires_grad_()
    with torch.autocast('cpu', dtype):
        maps = model(given)
    assert all(torch.isfinite(x).all() for x in maps)
    sum(x.float().square().mean() for x in maps).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    found = [name for name, grad in grads.items() if not torch.isfinite(grad).all()]
    assert not found, 'gradients are not finite'
    assert torch.isfinite(given.grad).all()
