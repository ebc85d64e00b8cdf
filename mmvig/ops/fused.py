"""Chains of pointwise operations of a block, with backward passes written out.

Left to autograd, every step of a chain keeps its result, and the chains of a block keep more than
its matrix products do. Here only the inputs are kept, and the steps are taken again on the way
back; gradients of the halves of one tensor are written into one. A compiler fuses and recomputes by
itself, so torch.compile gets the plain formulas.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def _swiglu(x: Tensor) -> Tensor:
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _swiglu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate, value = x.chunk(2, dim=-1)
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        d_gate, d_value = dx.chunk(2, dim=-1)
        d_value.copy_(F.silu(gate).mul_(dy))
        slope = torch.sigmoid(gate)
        slope.mul_(1 + gate * (1 - slope))
        d_gate.copy_(slope.mul_(value).mul_(dy))
        return dx


def swiglu(x: Tensor) -> Tensor:
    """silu(a) ⊙ b of x = [a, b] along the last axis: [..., 2 h] to [..., h]."""
    return _swiglu(x) if torch.compiler.is_compiling() else _SwiGLU.apply(x)


def _inject(far, near, logits, far_weight, near_weight, eps: float) -> Tensor:
    dtype = _compute_dtype(far, near)
    far = _normalised(far, eps, dtype)[0] * far_weight
    near = _normalised(near, eps, dtype)[0] * near_weight
    return torch.lerp(near, far, logits.to(dtype).sigmoid()).to(logits.dtype)


class _Inject(torch.autograd.Function):
    @staticmethod
    def forward(ctx, far, near, logits, far_weight, near_weight, eps: float) -> Tensor:
        ctx.save_for_backward(far, near, logits, far_weight, near_weight)
        ctx.eps = eps
        return _inject(far, near, logits, far_weight, near_weight, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        far, near, logits, far_weight, near_weight = ctx.saved_tensors
        dtype = _compute_dtype(far, near)
        dy = dy.to(dtype)
        gate = logits.to(dtype).sigmoid()
        far_unit, far_scale = _normalised(far, ctx.eps, dtype)
        near_unit, near_scale = _normalised(near, ctx.eps, dtype)
        d_far = dy * gate
        d_near = dy - d_far
        d_gate = torch.addcmul(far_unit * far_weight, near_unit, near_weight, value=-1)
        d_logits = (d_gate * d_far * (1 - gate)).to(logits.dtype)
        d_far_weight, d_far = _norm_backward(d_far, far_unit, far_scale, far_weight)
        d_near_weight, d_near = _norm_backward(d_near, near_unit, near_scale, near_weight)
        return (
            d_far.to(far.dtype), d_near.to(near.dtype), d_logits, d_far_weight, d_near_weight, None,
        )  # fmt: skip


def inject(
    far_BTHV: Tensor,
    near_BTHV: Tensor,
    logits_BTHV: Tensor,
    far_weight_V: Tensor,
    near_weight_V: Tensor,
    eps: float,
) -> Tensor:
    """G ⊙ RMSNorm(far) + (1 - G) ⊙ RMSNorm(near) with G = sigmoid(logits), norms over V.

    ViG, arXiv 2405.18425, section 3.3. Computed in at least float32; the result is in the dtype of
    the logits.
    """
    function = _inject if torch.compiler.is_compiling() else _Inject.apply
    return function(far_BTHV, near_BTHV, logits_BTHV, far_weight_V, near_weight_V, eps)


def _compute_dtype(*given: Tensor) -> torch.dtype:
    return torch.float64 if any(x.dtype == torch.float64 for x in given) else torch.float32


def _normalised(x: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x over its root mean square, and one over that."""
    x = x.to(dtype)
    scale = (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return x * scale, scale


def _norm_backward(dy, unit, scale, weight) -> tuple[Tensor, Tensor]:
    """Gradients of the weight and the input of y = unit ⊙ weight."""
    product = dy * unit
    d_weight = product.sum(tuple(range(product.dim() - 1))).to(weight.dtype)
    mean = (product * weight).mean(-1, keepdim=True)
    return d_weight, (dy * weight - unit * mean) * scale
