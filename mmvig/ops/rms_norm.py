"""Root-mean-square normalisation that keeps only its input for the backward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / √(mean(x²) + eps) ⊙ weight over the last axis, in the dtype of x.

    Computed in at least float32, whatever the dtypes and under any autocast. On CPUs torch's own
    gradient keeps and reads several more tensors of the size of x.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    if x.device.type != 'cpu' or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return F.rms_norm(x.to(exact), weight.shape, weight.to(exact), eps).to(x.dtype)
    return _RMSNorm.apply(x, weight, eps, exact)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float, exact: torch.dtype) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.eps, ctx.exact = eps, exact
        x_hat, _ = _normalize(x.to(exact), eps)
        return x_hat.mul_(weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, weight = ctx.saved_tensors
        x_hat, inverse_rms = _normalize(x.to(ctx.exact), ctx.eps)
        dy = dy.to(ctx.exact)
        dy_x_hat = dy * x_hat
        d_weight = dy_x_hat.sum(tuple(range(x.dim() - 1))).to(weight.dtype)
        mean = dy_x_hat.mul_(weight).mean(-1, keepdim=True)
        dx = torch.addcmul(dy * weight, x_hat, mean, value=-1).mul_(inverse_rms)
        return dx.to(x.dtype), d_weight, None, None


def _normalize(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x over its root mean square, and the inverse of that."""
    inverse_rms = (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return x * inverse_rms, inverse_rms
