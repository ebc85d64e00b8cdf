"""Root-mean-square normalisation that keeps only its input for the backward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import native
from .execution import is_traced


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / √(mean(x²) + eps) ⊙ weight over the last axis, in the dtype of x.

    Computed in at least float32, whatever the dtypes and under any autocast. On CPUs torch's own
    gradient keeps and reads several more tensors of the size of x.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    if x.device.type != 'cpu' or is_traced():
        return _rms_norm(x, weight, eps, exact)
    return _RMSNorm.apply(x, weight, eps, exact)


def _rms_norm(x: Tensor, weight: Tensor, eps: float, exact: torch.dtype) -> Tensor:
    return F.rms_norm(x.to(exact), weight.shape, weight.to(exact), eps).to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float, exact: torch.dtype) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.eps, ctx.exact = eps, exact
        if native.is_usable(x) and native.is_usable_weight(weight, x):
            return native.rms_norm(x, weight, eps)
        return _rms_norm(x, weight, eps, exact)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        if native.is_usable(x, dy) and native.is_usable_weight(weight, x):
            dx, d_weight = native.rms_norm_backward(dy, x, weight, ctx.eps)
            return dx, d_weight.to(weight.dtype), None, None
        x_exact, dy = x.to(ctx.exact), dy.to(ctx.exact)
        inverse_rms = (x_exact.square().mean(-1, keepdim=True) + ctx.eps).rsqrt()
        x_hat = x_exact * inverse_rms
        dy_x_hat = dy * x_hat
        d_weight = dy_x_hat.sum(tuple(range(x.dim() - 1))).to(weight.dtype)
        mean = dy_x_hat.mul_(weight).mean(-1, keepdim=True)
        dx = torch.addcmul(dy * weight, x_hat, mean, value=-1).mul_(inverse_rms)
        return dx.to(x.dtype), d_weight, None, None
