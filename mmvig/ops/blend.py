"""Two tensors mixed by a learned gate."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import native


def blend(gate: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """sigmoid(gate) ⊙ a + (1 - sigmoid(gate)) ⊙ b of tensors of one shape; a and b of one dtype."""
    if native.is_usable(gate, a, b) and gate.shape == a.shape == b.shape:
        return _Blend.apply(gate, a, b)
    return torch.lerp(b, a, gate.sigmoid().to(b.dtype))


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate: Tensor, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(gate, a, b)
        return native.blend(gate, a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        return native.blend_backward(dy.contiguous(), *ctx.saved_tensors)
