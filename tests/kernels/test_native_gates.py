"""Decays and gradients of gates in C++, against float64 and beside torch's own formulas."""

import pytest
import torch
import torch.nn.functional as F

from mmvig.kernels import native

EDGES = (0.0, -0.0, 1e-30, 17.0, -17.0, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4)
NORMALIZERS = (16.0, 1.0, 0.05, None)


def gates(normalizer: float | None, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Of any size, [B, T, H, K]; logits, or logarithms of decays without a normalizer."""
    x = torch.cat([3 * torch.randn(9000), torch.linspace(-120, 120, 4001), torch.tensor(EDGES)])
    x = x[-(x.numel() // 30 * 30) :].view(2, -1, 3, 5)
    return (-x.abs() if normalizer is None else x).to(dtype)


def by_torch(gate, normalizer: float | None):
    return torch.exp(gate if normalizer is None else F.logsigmoid(gate) / normalizer)


def worst_error(x, true) -> float:
    """Of a float32 number of ordinary size, as a share of it."""
    is_ordinary = true > 2e-38
    return ((x.double() - true) / true)[is_ordinary].abs().max().item()


@pytest.mark.parametrize('normalizer', NORMALIZERS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_decays_are_as_exact_as_torchs(normalizer, dtype):
    """Measured: errors are 1.0 to 1.3 times those of torch's formula in float32."""
    gate = gates(normalizer, dtype)
    true = by_torch(gate.double(), normalizer)
    found = native._decays(gate, torch.float32, normalizer)
    assert found.dtype == torch.float32
    assert worst_error(found, true) <= 2 * worst_error(by_torch(gate.float(), normalizer), true)
    torch.testing.assert_close(found.double(), true, atol=1.3e-7, rtol=0)
    assert found.max() <= 1


@pytest.mark.parametrize('normalizer', NORMALIZERS)
def test_decays_in_float64(normalizer):
    gate = gates(normalizer, torch.float64)
    found = native._decays(gate, torch.float64, normalizer)
    torch.testing.assert_close(found, by_torch(gate, normalizer), atol=1e-16, rtol=1e-12)


@pytest.mark.parametrize('normalizer', [16.0, 0.05])
@pytest.mark.parametrize(
    ('gate_dtype', 'dtype'),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_gradients_of_logits(gate_dtype, dtype, normalizer):
    """Those of ln decay times sigmoid(-logit) / normalizer, rounded once to the gate's dtype."""
    gate = gates(normalizer, gate_dtype)
    grad = torch.randn(gate.shape, dtype=dtype)
    true = grad.double() * torch.sigmoid(-gate.double()) / normalizer
    found = native._gate_gradient(gate, grad.clone(), normalizer)
    assert found.dtype == gate_dtype
    rounding = torch.finfo(gate_dtype).eps / 2 + 4 * torch.finfo(dtype).eps
    # What is below the smallest normal number may be 0: a sigmoid, its share of the normalizer, or
    # the gradient in the dtype of the gate.
    lost = torch.finfo(dtype).tiny * grad.abs().max().item() * max(1, 1 / normalizer)
    lost = max(lost, torch.finfo(gate_dtype).tiny)
    torch.testing.assert_close(found.double(), true, atol=lost, rtol=rounding)


def test_ends_of_the_range():
    """A decay is 1, or next to 0, at infinite logits; what is no number stays so."""
    gate = torch.tensor([float('inf'), float('-inf'), float('nan')]).view(1, 1, 1, 3)
    one, none, unknown = native._decays(gate, torch.float32, 16.0).flatten()
    assert one == 1
    assert none == 0
    assert unknown.isnan()


def test_strides_do_not_matter():
    """Of what a projection makes: both gates in one tensor, and any other order of axes."""
    both = gates(16.0).repeat(1, 1, 1, 2)
    expected = native._decays(both[..., :5].contiguous(), torch.float32, 16.0)
    for gate in (both[..., :5], both[..., :5].permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)):
        assert torch.equal(native._decays(gate, torch.float32, 16.0), expected)
