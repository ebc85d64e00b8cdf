"""The linear layer of torch, with float32 products by oneDNN on CPUs of AMD with AVX-512.

torch hands convolutions in float32 to oneDNN but linear layers to MKL, which uses AVX-512 on
processors of Intel alone. What oneDNN gains depends on how AVX-512 is computed: in halves (Zen 4),
5 to 20 % for x Wᵀ and 3 to 14 % for gradients of wide weights; at once (Zen 5), twice for all
(benchmarks/NOTES.md). On other processors torch decides.

It is a rule and no measurement at first use, which would choose otherwise on a busy machine: the
two differ in rounding, and a training that is resumed, or runs on several processes, is to compute
the same numbers. The operator called is the one that torch's own compiler puts in the place of
linear layers.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import flop_registry, shape_wrapper

from .execution import are_plain, runs_eagerly_on_cpu
from .processor import amd_family, uses_avx512

# Multiply-adds of a product; smaller ones cost more by oneDNN's overhead for a call than they gain.
MIN_WORK = 2**23
MANY_TOKENS = 4096  # for which a copy of a weight costs less than it gains
WIDE = 800  # the larger side of a weight whose gradient oneDNN is faster at on Zen 4
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
        dtype = torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else None
        # Under autocast only products of chunks gain.
        if (
            runs_eagerly_on_cpu(x)
            and (dtype is None or (_products.copies is not None and x.dtype != torch.float64))
            and are_plain(x, self.weight)
        ):
            return _Linear.apply(x, self.weight, self.bias, dtype)
        return super().forward(x)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype | None
    ) -> Tensor:
        """Under autocast, products are of `dtype`; None leaves tensors as they are."""
        ctx.dtype, ctx.input_dtype = dtype, x.dtype
        x = x.to(dtype or x.dtype)
        ctx.save_for_backward(x, weight)
        if _products.weights is not None:
            _products.weights.append(weight)
        is_result = weight is _products.result
        if is_result and not _products.is_result_read:
            return x.new_empty(*x.shape[:-1], len(weight))
        if _products.known:
            y_TN = _products.known.popleft()
        else:
            bias = None if bias is None else bias.to(x.dtype)
            y_TN = matmul(x.flatten(0, -2), _cast(weight, dtype), bias)
        if _products.kept is not None and not is_result:
            _products.kept.append(y_TN)
        # Not a view: an in-place add to a view (CopySlices) costs three copies in autograd.
        return torch.ops.aten._unsafe_view(y_TN, (*x.shape[:-1], len(weight)))

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        dy_TN = dy.flatten(0, -2)
        dx = dweight = dbias = None
        if needs_x:
            dx = matmul(dy_TN, _cast(weight, ctx.dtype).t()).view(x.shape).to(ctx.input_dtype)
        if needs_weight:
            dweight = weight_gradient(dy_TN, x.flatten(0, -2)).to(weight.dtype)
        if needs_bias:
            dbias = dy_TN.sum(0).to(weight.dtype)
        return dx, dweight, dbias, None


class _Products(threading.local):
    weights: list[Tensor] | None = None  # of the products computed, while someone asks for them
    result: Tensor | None = None  # the weight of the product that a chunk's result is
    is_result_read: bool = True
    copies: dict[Hashable, tuple[Tensor, Tensor]] | None = None  # of weights that are used again
    kept: deque[Tensor] | None = None  # results of the products computed, in order
    known: deque[Tensor] | None = None  # results of those to come


_products = _Products()


def weight_of_result(function: Callable[[], Tensor]) -> Tensor | None:
    """The weight of the product that a function's result is; None if it is no product.

    Nor is it one whose weight another product has too.
    """
    _products.weights = weights = []
    try:
        result = function()
    finally:
        _products.weights = None
    if type(result.grad_fn) is not _Linear._backward_cls:
        return None
    weight = result.grad_fn.saved_tensors[1]
    return weight if sum(other is weight for other in weights) == 1 else None


@contextmanager
def repeated_products(
    result: Tensor | None = None,
    *,
    kept: deque[Tensor] | None = None,
    known: deque[Tensor] | None = None,
    is_result_read: bool = True,
) -> Iterator[None]:
    """In here the same products are computed of one chunk of tokens after the other.

    Args:
        result: the weight of the product that a chunk's result is, by `weight_of_result`.
        kept: takes what the products are, but those of `result`.
        known: what was kept before, of the same chunks: each is taken out of it in the place of
            computing it again. Where it is empty, products are computed.
        is_result_read: else the product of `result` is left out: only its gradient is read.
    """
    _products.result, _products.is_result_read = result, is_result_read
    _products.copies, _products.kept, _products.known = {}, kept, known
    try:
        yield
    finally:
        _products.result, _products.is_result_read = None, True
        _products.copies = _products.kept = _products.known = None


def _laid_out(weight_NC: Tensor, tokens: int) -> Tensor:
    """The weight, in memory as [C, N], which oneDNN reads faster, where that pays for the copy."""
    if weight_NC.stride(0) == 1 or (_products.copies is None and tokens < MANY_TOKENS):
        return weight_NC
    return _copied(weight_NC, 'laid out', lambda weight: weight.t().contiguous().t())


def _cast(weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype in (None, weight.dtype):
        return weight
    return _copied(weight, dtype, lambda weight: weight.to(dtype))


def _copied(weight: Tensor, kind: Hashable, copy: Callable[[Tensor], Tensor]) -> Tensor:
    """The copy, made once for all products that are repeated."""
    copies = {} if _products.copies is None else _products.copies
    key = id(weight), kind
    if key not in copies:  # with the weight, whose number may not go to another
        copies[key] = weight, copy(weight)
    return copies[key][1]


def matmul(x_TC: Tensor, weight_NC: Tensor, bias_N: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, [T, N]; W may be the transpose of a weight."""
    if _use_onednn(x_TC, len(x_TC) * weight_NC.numel(), family=ZEN_4):
        return _matmul_onednn(x_TC, _laid_out(weight_NC, len(x_TC)), bias_N)
    return F.linear(x_TC, weight_NC, bias_N)


def weight_gradient(dy_TN: Tensor, x_TC: Tensor) -> Tensor:
    """dyᵀ x, [N, C]."""
    N, C = dy_TN.shape[1], x_TC.shape[1]
    family = ZEN_4 if max(N, C) >= WIDE else ZEN_5
    if not _use_onednn(x_TC, len(x_TC) * N * C, family):
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
