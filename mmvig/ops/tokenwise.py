"""The token-wise layers of a block, taken a slab of tokens at a time on CPUs.

A linear layer of an 800×1344 image writes more than a hundred MiB, and every pointwise step after
it as much again: all of it memory that the system hands out page by page. In slabs the steps in
between stay in cache and are taken again on the way back, so that only what enters and what leaves
is ever written in full. The numbers are those of the layers as a whole, up to rounding.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .linear import is_plain, is_watched, linear, on_plain_cpu, product, rows, weight_gradient

SLAB = 2048  # tokens


def chain(
    inner: Callable[..., Tensor], modules: Sequence[nn.Module], last: nn.Linear, *tokens: Tensor
) -> Tensor:
    """last(inner(*tokens)) for an `inner` that sees each token by itself.

    Args:
        inner: called with what of `tokens` belongs to a slab, [slab, C] each.
        modules: those whose parameters `inner` reads.
        last: the layer that ends the chain.
        tokens: tensors [..., C] that agree in all but the last axis.
    """
    parts = [part for module in modules for part in module.modules()]
    if not _in_slabs(tokens[0], last) or any(map(is_watched, parts)):
        return linear(last, inner(*tokens))
    parameters = [p for module in modules for p in module.parameters()]
    return _Chain.apply(inner, len(tokens), last.weight, last.bias, *tokens, *parameters)


def project(x: Tensor, *layers: nn.Linear, widths: Sequence[int]) -> tuple[Tensor, ...]:
    """What layers make of x [..., C], split along the last axis into `widths`.

    The layers have a bias all, or none.
    """
    if not all(map(is_plain, layers)):
        whole = torch.cat([layer(x) for layer in layers], dim=-1)
        return whole.split(tuple(widths), dim=-1)
    weight = _joined([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else _joined([layer.bias for layer in layers])
    if not on_plain_cpu(x, *layers):
        return F.linear(x, weight, bias).split(tuple(widths), dim=-1)
    return _Project.apply(x, weight, bias, tuple(widths))


def _joined(parameters: list[Tensor]) -> Tensor:
    return torch.cat(parameters) if len(parameters) > 1 else parameters[0]


def _in_slabs(x: Tensor, *layers: nn.Linear) -> bool:
    """Not on GPUs, where memory is handed out once."""
    return on_plain_cpu(x, *layers) and x[..., 0].numel() > SLAB


def _slabs(count: int) -> list[slice]:
    """As few as may be, of equal size."""
    size = math.ceil(count / math.ceil(count / SLAB))
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]


# Outputs have their final shape: what is added to a view in place, autograd copies three times.


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inner, count: int, weight: Tensor, bias: Tensor | None, *given: Tensor):
        ctx.inner, ctx.count = inner, count
        ctx.save_for_backward(weight, *given)
        out = given[0].new_empty(*given[0].shape[:-1], len(weight))
        target, tokens = rows(out), [rows(x) for x in given[:count]]
        for slab in _slabs(len(target)):
            target[slab] = product(inner(*(x[slab] for x in tokens)), weight, bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor):
        weight, *given = ctx.saved_tensors
        tokens, parameters = [rows(x) for x in given[: ctx.count]], given[ctx.count :]
        with_weight, with_bias, *wanted = ctx.needs_input_grad[2:]
        d_rows = rows(d_out)
        d_weight = torch.zeros_like(weight) if with_weight else None
        grads = [torch.empty_like(x) for x in tokens] + [torch.zeros_like(p) for p in parameters]
        for slab in _slabs(len(d_rows)):
            entries = [
                x[slab].detach().requires_grad_(w) for x, w in zip(tokens, wanted, strict=False)
            ]
            leaves = [x for x, w in zip(entries + parameters, wanted, strict=True) if w]
            with torch.set_grad_enabled(bool(leaves)):
                part = ctx.inner(*entries)
            if with_weight:
                d_weight += weight_gradient(d_rows[slab], part.detach())
            if leaves:
                d_part = product(d_rows[slab], weight.t())
                found = iter(torch.autograd.grad(part, leaves, d_part))
                for i, grad in enumerate(grads):
                    if wanted[i] and i < ctx.count:
                        grad[slab] = next(found)
                    elif wanted[i]:
                        grad += next(found)
        grads = [
            grad.view(x.shape) if w else None
            for grad, x, w in zip(grads, given, wanted, strict=True)
        ]
        return None, None, d_weight, d_rows.sum(0) if with_bias else None, *grads


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, widths: tuple[int, ...]):
        ctx.save_for_backward(x, weight)
        ctx.widths = widths
        parts = tuple(x.new_empty(*x.shape[:-1], width) for width in widths)
        tokens, targets = rows(x), [rows(part) for part in parts]
        for slab in _slabs(len(tokens)):
            whole = product(tokens[slab], weight, bias).split(widths, 1)
            for target, part in zip(targets, whole, strict=True):
                target[slab] = part
        return parts

    @staticmethod
    @once_differentiable
    def backward(ctx, *d_parts: Tensor):
        x, weight = ctx.saved_tensors
        with_bias = ctx.needs_input_grad[2]
        tokens, d_rows = rows(x), [rows(d_part) for d_part in d_parts]
        dx, d_weight = torch.empty_like(tokens), torch.zeros_like(weight)
        d_bias = weight.new_zeros(len(weight)) if with_bias else None
        for slab in _slabs(len(tokens)):
            dy = torch.cat([d_part[slab] for d_part in d_rows], dim=1)
            dx[slab] = product(dy, weight.t())
            d_weight += weight_gradient(dy, tokens[slab])
            if with_bias:
                d_bias += dy.sum(0)
        return dx.view(x.shape), d_weight, d_bias, None
