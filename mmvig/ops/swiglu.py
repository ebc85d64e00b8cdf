"""SwiGLU that keeps only its input for the backward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import native
from .execution import is_traced


def swiglu(x: Tensor) -> Tensor:
    """silu(a) ⊙ b of x = [a, b] along the last axis (arXiv 2002.05202): [..., 2 h] to [..., h].

    Autograd would also keep silu(a), and write the gradient in two halves that it then joins. A
    compiler fuses and recomputes by itself.
    """
    if is_traced():
        return _swiglu(x)
    return _SwiGLU.apply(x)


def _swiglu(x: Tensor) -> Tensor:
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        if native.is_usable(x) and x.shape[-1] % 2 == 0:
            return native.swiglu(x)
        return _swiglu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        dy = dy.contiguous()
        if native.is_usable(x, dy):
            return native.swiglu_backward(dy, x)
        gate, value = x.chunk(2, dim=-1)
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        d_gate, d_value = dx.chunk(2, dim=-1)
        torch.mul(F.silu(gate), dy, out=d_value)
        torch.ops.aten.silu_backward(dy * value, gate, grad_input=d_gate)
        return dx
