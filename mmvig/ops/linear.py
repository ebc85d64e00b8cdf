"""The linear layer of torch, with float32 products by oneDNN on CPUs of AMD with AVX-512.

torch hands convolutions in float32 to oneDNN but linear layers to MKL, which uses AVX-512 on
processors of Intel alone. What oneDNN gains depends on how AVX-512 is computed: in halves (Zen 4),
5 to 20 % for x Wᵀ and nothing for gradients of weights; at once (Zen 5), twice for both
(benchmarks/NOTES.md). On other processors torch decides.

It is a rule and no measurement at first use, which would choose otherwise on a busy machine: the
two differ in rounding, and a training that is resumed, or runs on several processes, is to compute
the same numbers. The operator called is the one that torch's own compiler puts in the place of
linear layers.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import flop_registry, shape_wrapper

from .execution import runs_eagerly_on_cpu
from .processor import amd_family, uses_avx512

# Multiply-adds of a product; smaller ones cost more by oneDNN's overhead for a call than they gain.
MIN_WORK = 2**23
ZEN_4, ZEN_5 = 25, 26  # families of AMD

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, '_linear_pointwise'
)
if _HAS_ONEDNN:  # torch's FLOP counter does not know the operator
    flop_registry[torch.ops.mkldnn._linear_pointwise] = shape_wrapper(
        lambda x, weight, *_, **__: 2 * math.prod(x) * weight[0]
    )


class _EqualToTorchLinear(type):
    """Lets `Linear` be found where tools look layers up by their exact type.

    `torch.ao.quantization` keys its tables by `type(layer)`, and would pass over a subclass of
    `torch.nn.Linear` without a word.
    """

    def __eq__(cls, other: object) -> bool:
        return cls is other or (cls is Linear and other is nn.Linear)

    def __hash__(cls) -> int:
        return hash(nn.Linear) if cls is Linear else type.__hash__(cls)


class Linear(nn.Linear, metaclass=_EqualToTorchLinear):
    """`torch.nn.Linear`, faster on some CPUs; equal up to rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """See `torch.nn.Linear`."""
        if (
            runs_eagerly_on_cpu(x)
            and not torch.is_autocast_enabled('cpu')
            and _are_plain(x, self.weight)
        ):
            return _Linear.apply(x, self.weight, self.bias)
        return super().forward(x)


def _are_plain(*tensors: Tensor) -> bool:
    """Whether none is of a subclass, which decides for itself what a linear layer does."""
    return all(type(x) in (Tensor, nn.Parameter) for x in tensors)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        y_TN = matmul(x.flatten(0, -2), weight, bias)
        # Not a view: an in-place add to a view (CopySlices) costs three copies in autograd.
        return torch.ops.aten._unsafe_view(y_TN, (*x.shape[:-1], len(weight)))

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        dy_TN = dy.flatten(0, -2)
        return (
            matmul(dy_TN, weight.t()).view(x.shape) if needs_x else None,
            weight_gradient(dy_TN, x.flatten(0, -2)) if needs_weight else None,
            dy_TN.sum(0) if needs_bias else None,
        )


def matmul(x_TC: Tensor, weight_NC: Tensor, bias_N: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, [T, N]; W may be the transpose of a weight."""
    if _use_onednn(x_TC, len(x_TC) * weight_NC.numel(), family=ZEN_4):
        return _matmul_onednn(x_TC, weight_NC, bias_N)
    return F.linear(x_TC, weight_NC, bias_N)


def weight_gradient(dy_TN: Tensor, x_TC: Tensor) -> Tensor:
    """dyᵀ x, [N, C]."""
    N, C = dy_TN.shape[1], x_TC.shape[1]
    if not _use_onednn(x_TC, len(x_TC) * N * C, family=ZEN_5):
        return dy_TN.t() @ x_TC
    if N > C:  # oneDNN is faster at a wide result than at a high one
        return _matmul_onednn(x_TC.t(), dy_TN.t()).t()
    return _matmul_onednn(dy_TN.t(), x_TC.t())


def _matmul_onednn(x_TC: Tensor, weight_NC: Tensor, bias_N: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x_TC, weight_NC, bias_N, 'none', [], '')


def _use_onednn(x: Tensor, work: int, family: int) -> bool:
    """Whether oneDNN is faster at a product, from a family of AMD on."""
    return (
        _HAS_ONEDNN
        and torch.backends.mkldnn.enabled
        and x.dtype == torch.float32
        and work >= MIN_WORK
        and amd_family() >= family
        and uses_avx512()
    )
