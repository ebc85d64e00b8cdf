"""The token-wise layers of a block, taken a slab of tokens at a time on CPUs.

A linear layer of an 800×1344 image writes more than a hundred MiB, and every pointwise step after
it as much again: all of it memory that the system hands out page by page. In slabs the steps in
between stay in cache and are taken again on the way back, so that only what enters and what leaves
is ever written in full. The numbers are those of the layers as a whole, up to rounding.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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
    if not _in_slabs(tokens[0], last, *modules):
        return last(inner(*tokens))
    parameters = [p for module in modules for p in module.parameters()]
    return _Chain.apply(inner, len(tokens), last.weight, last.bias, *tokens, *parameters)


def project(x: Tensor, *layers: nn.Linear, widths: Sequence[int]) -> tuple[Tensor, ...]:
    """What layers make of x [..., C], split along the last axis into `widths`.

    The layers have a bias all, or none.
    """
    if not all(map(_is_plain, layers)):
        whole = torch.cat([layer(x) for layer in layers], dim=-1)
        return whole.split(tuple(widths), dim=-1)
    weight = _joined([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else _joined([layer.bias for layer in layers])
    if not _in_slabs(x, *layers):
        return F.linear(x, weight, bias).split(tuple(widths), dim=-1)
    return _Project.apply(x, weight, bias, tuple(widths))


def _joined(parameters: list[Tensor]) -> Tensor:
    return torch.cat(parameters) if len(parameters) > 1 else parameters[0]


def _in_slabs(x: Tensor, last: nn.Module, *modules: nn.Module) -> bool:
    """Not on GPUs, where memory is handed out once; compilers and tracers want the plain formulas,
    as do hooks, and what took the place of a linear layer.
    """
    return (
        x.device.type == 'cpu'
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and x[..., 0].numel() > SLAB
        and _is_plain(last)
        and not any(_is_watched(part) for module in modules for part in module.modules())
    )


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer's weight says all that calling it would do."""
    return type(layer) is nn.Linear and not _is_watched(layer)


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _slabs(count: int) -> list[slice]:
    return [slice(i, min(i + SLAB, count)) for i in range(0, count, SLAB)]


def _rows(x: Tensor) -> Tensor:
    return x.flatten(0, -2)


# Outputs have their final shape: what a caller adds in place to a view, autograd copies three times.


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inner, count: int, weight: Tensor, bias: Tensor | None, *given: Tensor):
        ctx.inner, ctx.count = inner, count
        ctx.save_for_backward(weight, *given)
        out = given[0].new_empty(*given[0].shape[:-1], len(weight))
        rows, tokens = _rows(out), [_rows(x) for x in given[:count]]
        for slab in _slabs(len(rows)):
            torch.mm(inner(*(x[slab] for x in tokens)), weight.t(), out=rows[slab])
            if bias is not None:
                rows[slab] += bias
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor):
        weight, *given = ctx.saved_tensors
        tokens, parameters = [_rows(x) for x in given[: ctx.count]], given[ctx.count :]
        with_weight, with_bias, *wanted = ctx.needs_input_grad[2:]
        d_rows = _rows(d_out)
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
                d_weight.addmm_(d_rows[slab].t(), part.detach())
            if leaves:
                found = iter(torch.autograd.grad(part, leaves, d_rows[slab] @ weight))
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
        rows, targets = _rows(x), [_rows(part) for part in parts]
        for slab in _slabs(len(rows)):
            whole = F.linear(rows[slab], weight, bias)
            for target, part in zip(targets, whole.split(widths, 1), strict=True):
                target[slab] = part
        return parts

    @staticmethod
    @once_differentiable
    def backward(ctx, *d_parts: Tensor):
        x, weight = ctx.saved_tensors
        rows, d_rows = _rows(x), [_rows(d_part) for d_part in d_parts]
        dx, d_weight = torch.empty_like(rows), torch.zeros_like(weight)
        weights, d_weights = weight.split(ctx.widths), d_weight.split(ctx.widths)
        for slab in _slabs(len(rows)):
            dx[slab].zero_()
            for d_part, part, d_part_weight in zip(d_rows, weights, d_weights, strict=True):
                dx[slab].addmm_(d_part[slab], part)
                d_part_weight.addmm_(d_part[slab].t(), rows[slab])
        with_bias = ctx.needs_input_grad[2]
        d_bias = torch.cat([part.sum(0) for part in d_rows]) if with_bias else None
        return dx.view(x.shape), d_weight, d_bias, None
