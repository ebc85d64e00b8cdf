"""Pointwise chains with backward passes of their own, against autograd on the plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from mmvig.ops.fused import inject, swiglu


def plain_swiglu(x):
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


def plain_inject(far, near, logits, far_weight, near_weight, eps):
    norms = [F.rms_norm(x, w.shape, w, eps) for x, w in ((far, far_weight), (near, near_weight))]
    return torch.lerp(norms[1], norms[0], logits.sigmoid())


def inject_args(dtype=torch.float64):
    maps = [torch.randn(2, 9, 3, 4, dtype=dtype) for _ in range(3)]
    weights = [torch.rand(4, dtype=dtype) + 0.5 for _ in range(2)]
    return [x.requires_grad_() for x in (*maps, *weights)]


def test_swiglu():
    x = (10 * torch.randn(3, 5, 8, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(swiglu, x)
    torch.testing.assert_close(swiglu(x), plain_swiglu(x), atol=1e-13, rtol=1e-13)


def test_inject():
    args = inject_args()
    assert torch.autograd.gradcheck(lambda *xs: inject(*xs, 1e-6), args)
    torch.testing.assert_close(inject(*args, 1e-6), plain_inject(*args, 1e-6), atol=1e-13, rtol=0)


def test_strides_are_free():
    far, near, logits, *weights = inject_args()
    permuted = near.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    expected = inject(far, near, logits, *weights, 1e-6)
    torch.testing.assert_close(inject(far, permuted, logits, *weights, 1e-6), expected)
    gradients = torch.autograd.grad(expected.square().sum(), (far, near, logits))
    other = inject(far, permuted, logits, *weights, 1e-6).square().sum()
    for x, y in zip(torch.autograd.grad(other, (far, near, logits)), gradients, strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_rounds_once(dtype):
    """Inputs and result are rounded, what lies between is not."""
    args = inject_args(torch.float32)
    rounded = [x.detach().to(dtype).requires_grad_() for x in args[:3]]
    found = inject(*rounded, *args[3:], 1e-6)
    exact = [x.detach().double() for x in (*rounded, *args[3:])]
    expected = plain_inject(*exact, 1e-6)
    assert found.dtype == dtype
    error = (found.double() - expected).abs() / expected.abs().clamp_min(1e-3)
    assert error.max() <= torch.finfo(dtype).eps
    grads = torch.autograd.grad(found.float().square().sum(), [*rounded, *args[3:]])
    assert [g.dtype for g in grads] == [dtype] * 3 + [torch.float32] * 2


def test_only_inputs_are_kept():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        args = inject_args()
        inject(*args, 1e-6)
        x = torch.randn(4, 8, requires_grad=True)
        swiglu(x)
    assert {x.data_ptr() for x in kept} == {x.data_ptr() for x in (*args, x)}


def test_compiles_without_a_graph_break():
    args = inject_args(torch.float32)

    def function(*xs):
        return swiglu(inject(*xs, 1e-6)).sum()

    found = torch.compile(function, fullgraph=True, backend='aot_eager')(*args)
    torch.testing.assert_close(found, function(*args))
    torch.testing.assert_close(
        torch.autograd.grad(found, args), torch.autograd.grad(function(*args), args)
    )
