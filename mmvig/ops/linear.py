"""Matrix products on CPUs, by oneDNN.

torch takes convolutions of float32 to oneDNN and linear layers to MKL, which leaves half of what
processors with AVX-512 can do unused if they are not Intel's (160 and 350 GFLOP/s on two cores of
an AMD EPYC, benchmarks/NOTES.md). The operator called here is the one that torch's own compiler
puts into the place of linear layers. Numbers are those of the layers, up to rounding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import flop_registry, shape_wrapper

# Below these, what a call of oneDNN costs beside the product is more than it saves.
LEAST_TOKENS = 128
LEAST_WEIGHTS = 64 * 64

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')
if _ONEDNN:  # which torch's counter of operations does not know
    flop_registry[torch.ops.mkldnn._linear_pointwise] = shape_wrapper(
        lambda x, weight, *_, **__: 2 * math.prod(x) * weight[0]
    )


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """layer(x) for x [..., C]."""
    if not on_plain_cpu(x, layer):
        return layer(x)
    return _Linear.apply(x, layer.weight, layer.bias)


def on_plain_cpu(x: Tensor, *layers: nn.Module) -> bool:
    """Whether the products of these layers may be taken apart.

    Compilers, tracers, autocast and hooks want to see the layers called, and so does what took the
    place of a linear layer.
    """
    return (
        x.device.type == 'cpu'
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and all(map(is_plain, layers))
    )


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer's weight says all that calling it would do."""
    return type(layer) is nn.Linear and not is_watched(layer)


def is_watched(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def rows(x: Tensor) -> Tensor:
    """[..., C] as [T, C]."""
    return x.flatten(0, -2)


def product(x_TC: Tensor, weight_NC: Tensor, bias_N: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, [T, N]; W may be the transpose of a weight."""
    if _pays(x_TC, len(x_TC), weight_NC.numel()):
        return _by_onednn(x_TC, weight_NC, bias_N)
    return F.linear(x_TC, weight_NC, bias_N)


def weight_gradient(dy_TN: Tensor, x_TC: Tensor) -> Tensor:
    """dyᵀ x, [N, C]."""
    N, C = dy_TN.shape[1], x_TC.shape[1]
    if not _pays(x_TC, len(x_TC), N * C):
        return dy_TN.t() @ x_TC
    if N > C:  # oneDNN is faster the wider, and not the higher, its result
        return _by_onednn(x_TC.t(), dy_TN.t()).t()
    return _by_onednn(dy_TN.t(), x_TC.t())


def _by_onednn(x_TC: Tensor, weight_NC: Tensor, bias_N: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x_TC, weight_NC, bias_N, 'none', [], '')


def _pays(x: Tensor, tokens: int, weights: int) -> bool:
    return (
        _ONEDNN
        and torch.backends.mkldnn.enabled
        and x.dtype == torch.float32
        and tokens >= LEAST_TOKENS
        and weights >= LEAST_WEIGHTS
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = product(rows(x), weight, bias)
        # Not a view: what a caller adds to a view in place, autograd copies three times.
        return torch.ops.aten._unsafe_view(y, (*x.shape[:-1], len(weight)))

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, weight = ctx.saved_tensors
        with_x, with_weight, with_bias = ctx.needs_input_grad
        dy_TN = rows(dy)
        return (
            product(dy_TN, weight.t()).view(x.shape) if with_x else None,
            weight_gradient(dy_TN, rows(x)) if with_weight else None,
            dy_TN.sum(0) if with_bias else None,
        )
