"""SwiGLU against autograd on the plain formula."""

import torch
import torch.nn.functional as F

from mmvig.ops.swiglu import swiglu


def plain(x):
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


def test_values_and_gradients():
    x = (10 * torch.randn(3, 5, 8, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(swiglu, x)
    torch.testing.assert_close(swiglu(x), plain(x), atol=1e-13, rtol=1e-13)


def test_bfloat16_is_as_exact_as_autograds():
    x = torch.randn(500, 64).bfloat16().requires_grad_()
    exact = x.detach().double().requires_grad_()
    (true,) = torch.autograd.grad(plain(exact).sum(), exact)
    ours, torchs = (torch.autograd.grad(f(x).sum(), x)[0] for f in (swiglu, plain))
    assert (ours - true).abs().max() <= (torchs - true).abs().max()


def test_large_inputs_give_finite_gradients():
    x = torch.tensor([[-1e4, 1e4, 3.0, -3.0]], requires_grad=True)
    swiglu(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.0, -3.0, 0.0, 1e4]]), atol=1e-3, rtol=1e-6)


def test_only_the_input_is_kept():
    x = torch.randn(30, 16, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        swiglu(x)
    assert [y.data_ptr() for y in kept] == [x.data_ptr()]


def test_a_compiler_gets_the_formula():
    x = torch.randn(30, 16, requires_grad=True)
    compiled = torch.compile(swiglu, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(x), plain(x))
