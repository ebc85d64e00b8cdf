"""ViG in bfloat16 on a CPU, against the official code in float32.

The budget is the error that plain PyTorch makes at the same: the token loop as the operator, the
gradients of norms and activations by autograd, and no chunks of tokens.
"""

import pytest
import torch
from torch import Tensor

from mmvig.checkpoint import from_official
from mmvig.models.backbones import MultiScaleViG, PlainViG
from mmvig.models.layers import mlp, norm
from mmvig.ops import rms_norm, swiglu, tokenwise
from tests.support import golden

CASES = {
    'multi-scale': ('vig_h_tiny_64x96', (64, 96), golden.backbone_weights, 'vig_h_tiny'),
    'plain': ('vig_tiny_160x256', (160, 256), golden.weights, 'vig_tiny'),
}


def run(case: str, backend: str) -> dict[str, Tensor]:
    """Maps and gradients, under the names that they have in the golden file."""
    _, size, weights, model_name = CASES[case]
    cls = MultiScaleViG if case == 'multi-scale' else PlainViG
    model = cls('tiny', op_backend=backend)
    loaded = from_official(weights(model_name))
    model.load_state_dict({k: v for k, v in loaded.items() if not k.startswith('head.')})
    image = golden.image(*size).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        maps = model(image)
    if case == 'plain':  # whose position embedding keeps the sum of its branches in float32
        named = {'tokens': maps[0].flatten(2).transpose(1, 2).float()}
    else:
        assert {x.dtype for x in maps} == {torch.bfloat16}
        named = {f'stage{i}': x.float() for i, x in enumerate(maps)}
    sum((x * torch.arange(x.numel()).view(x.shape).cos()).mean() for x in named.values()).backward()
    return named | {'grad_input': image.grad}


def relative_rms(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.parametrize('case', CASES)
def test_errors_are_those_of_plain_torch(case, monkeypatch):
    """Measured: 1 to 7 % of the largest value and of the root mean square in maps, 6 to 15 % in the
    gradient of the image, each within 7 % of plain torch's."""
    with monkeypatch.context() as patch:
        patch.setattr(tokenwise, 'CHUNK_TOKENS', 10**9)
        patch.setattr(mlp, 'swiglu', swiglu._swiglu)
        formula = rms_norm._rms_norm
        patch.setattr(norm, 'rms_norm', lambda x, w, eps: formula(x, w, eps, torch.float32))
        plain = run(case, 'reference')
    monkeypatch.setattr(tokenwise, 'CHUNK_TOKENS', 100)
    expected = golden.results(CASES[case][0])
    for name, found in run(case, 'native').items():
        true = torch.from_numpy(expected[name])
        for error, factor in ((golden.relative, 1.3), (relative_rms, 1.15)):
            assert error(found, true) <= factor * error(plain[name], true), name
