"""The gated mixture against its formula; tests of its C++ are in test_native.py."""

import torch

from mmvig.ops.blend import blend


def test_values_and_gradients():
    gate, a, b = (torch.randn(3, 5, dtype=torch.float64, requires_grad=True) for _ in range(3))
    share = gate.sigmoid()
    torch.testing.assert_close(blend(gate, a, b), share * a + (1 - share) * b)
    assert torch.autograd.gradcheck(blend, (gate, a, b))


def test_a_gate_of_another_dtype():
    """Under autocast a linear layer gives bfloat16, and a norm may not."""
    gate, a, b = torch.randn(9, 8).bfloat16(), torch.randn(9, 8), torch.randn(9, 8)
    found = blend(gate, a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, blend(gate.float(), a, b), atol=2**-8, rtol=0)


def test_frozen_inputs_get_no_gradient():
    gate, a, b = (torch.randn(3, 5) for _ in range(3))
    a.requires_grad_()
    blend(gate, a, b).sum().backward()
    torch.testing.assert_close(a.grad, gate.sigmoid())
    assert gate.grad is None
    assert b.grad is None


def test_a_compiler_gets_the_formula():
    gate, a, b = (torch.randn(30, 16, requires_grad=True) for _ in range(3))
    compiled = torch.compile(blend, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(gate, a, b), torch.lerp(b, a, gate.sigmoid()))
