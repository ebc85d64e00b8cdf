"""The norm against torch's formula: numbers, gradients, dtypes, and what it keeps."""

import pytest
import torch
import torch.nn.functional as F

from mmvig.ops.rms_norm import rms_norm


def tensors(*shape, dtype=torch.float64):
    x = torch.randn(*shape, dtype=dtype).requires_grad_()
    weight = (torch.rand(shape[-1], dtype=dtype) + 0.5).requires_grad_()
    return x, weight


def saved_bytes(function) -> int:
    """Bytes that autograd keeps of a call, each storage once."""
    storages = {}

    def pack(x):
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        function()
    return sum(storages.values())


def test_values_and_gradients():
    x, weight = tensors(2, 9, 3, 4)
    expected = F.rms_norm(x, weight.shape, weight, 1e-6)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), expected, atol=1e-13, rtol=0)
    assert torch.autograd.gradcheck(lambda x, weight: rms_norm(x, weight, 1e-6), (x, weight))


def test_eps_counts():
    x, weight = torch.full((3, 4), 1e-3), torch.ones(4)
    assert rms_norm(x, weight, 1e-6).max() < 0.8
    assert rms_norm(x, weight, 1e-12).max() > 0.99


@pytest.mark.parametrize('frozen', ['x', 'weight'])
def test_frozen(frozen):
    x, weight = tensors(5, 4)
    (x if frozen == 'x' else weight).requires_grad_(False)
    rms_norm(x, weight, 1e-6).sum().backward()
    assert (x.grad is None) == (frozen == 'x')
    assert (weight.grad is None) == (frozen == 'weight')


def test_strides_are_free():
    x, weight = tensors(2, 5, 3, 4)
    strided = x.permute(2, 0, 1, 3)
    torch.testing.assert_close(
        rms_norm(strided, weight, 1e-6), rms_norm(strided.contiguous(), weight, 1e-6)
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_narrow_dtypes_are_computed_in_float32(dtype):
    """Rounded once, at the end; squares of 300 overflow float16."""
    x, weight = tensors(50, 64, dtype=torch.float32)
    x = (300 * x).detach().to(dtype)
    y = rms_norm(x, weight, 1e-6)
    assert y.dtype == dtype
    exact = F.rms_norm(x.double(), weight.shape, weight.double(), 1e-6)
    torch.testing.assert_close(y, exact.to(dtype), atol=0, rtol=torch.finfo(dtype).eps)


def test_only_the_input_is_kept():
    x, weight = tensors(200, 64)
    assert saved_bytes(lambda: rms_norm(x, weight, 1e-6)) == x.nbytes + weight.nbytes
    torchs = saved_bytes(lambda: F.rms_norm(x, weight.shape, weight, 1e-6))
    assert torchs > 1.9 * x.nbytes, 'the reason for a gradient of our own'
