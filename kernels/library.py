"""Turns a forward and a backward function into a `torch.library` operator.

What every compiled backend shares: shapes for tracing, autograd, autocast and FLOP counting. The
operator is opaque to `torch.compile`, which therefore compiles around it without a graph break.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, shape_wrapper

from .dtypes import compute_dtype

_TENSORS = 'Tensor q, Tensor k, Tensor v, Tensor? g_fwd, Tensor? g_bwd'
_NUMBERS = 'float scale, float? gate_normalizer=None'
_ARGS = f'{_TENSORS}, {_NUMBERS}'
_STATES_ARGS = f'{_TENSORS}, Tensor? initial_fwd, Tensor? initial_bwd, {_NUMBERS}'


def make_op(name: str, forward: Callable, backward: Callable) -> Callable:
    """Register `mmvig::<name>` and `mmvig::<name>_backward`; returns the differentiable operator.

    `forward(q, k, v, g_fwd, g_bwd, scale, gate_normalizer)` returns o; `backward(do, …)` the
    gradients of the first five, None where there is no gate. Both see the dtypes that autocast left
    them, and run with autocast off: they choose their own precision.
    """

    @torch.library.custom_op(f'mmvig::{name}', mutates_args=(), schema=f'({_ARGS}) -> Tensor')
    def op(q, k, v, g_fwd, g_bwd, scale, gate_normalizer=None):
        with torch.autocast(q.device.type, enabled=False):
            return forward(q, k, v, g_fwd, g_bwd, scale, gate_normalizer)

    @torch.library.custom_op(
        f'mmvig::{name}_backward',
        mutates_args=(),
        schema=f'(Tensor do, {_ARGS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)',
    )
    def op_backward(do, q, k, v, g_fwd, g_bwd, scale, gate_normalizer=None):
        with torch.autocast(q.device.type, enabled=False):
            grads = backward(do, q, k, v, g_fwd, g_bwd, scale, gate_normalizer)
        return tuple(q.new_empty(0) if grad is None else grad for grad in grads)

    @op.register_fake
    def _(q, k, v, g_fwd, g_bwd, scale, gate_normalizer=None):
        return torch.empty(v.shape, dtype=v.dtype, device=v.device)

    @op_backward.register_fake
    def _(do, q, k, v, g_fwd, g_bwd, scale, gate_normalizer=None):
        return tuple(
            q.new_empty(0) if x is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
            for x in (q, k, v, g_fwd, g_bwd)
        )

    def save(ctx, inputs, output):
        *tensors, ctx.scale, ctx.gate_normalizer = inputs
        ctx.save_for_backward(*tensors)

    def differentiate(ctx, do: Tensor):
        q, k, v, g_fwd, g_bwd = ctx.saved_tensors
        dq, dk, dv, dg_fwd, dg_bwd = op_backward(
            do, q, k, v, g_fwd, g_bwd, ctx.scale, ctx.gate_normalizer
        )
        dg_fwd = None if g_fwd is None else dg_fwd
        dg_bwd = None if g_bwd is None else dg_bwd
        return dq, dk, dv, dg_fwd, dg_bwd, None, None

    op.register_autograd(differentiate, setup_context=save)
    _file_flops(name, _forward_flops)
    _file_flops(f'{name}_backward', _backward_flops)
    return op


def make_states_op(name: str, forward: Callable) -> Callable:
    """Register `mmvig::<name>`, the forward pass with states; returns a function that calls it.

    `forward(q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale, gate_normalizer)` returns o and
    the last state of each direction, None where it does not run, and so does the function. It has
    no gradients.
    """

    @torch.library.custom_op(
        f'mmvig::{name}', mutates_args=(), schema=f'({_STATES_ARGS}) -> (Tensor, Tensor, Tensor)'
    )
    def op(q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale, gate_normalizer=None):
        with torch.autocast(q.device.type, enabled=False):
            o, *states = forward(
                q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale, gate_normalizer
            )
        return o, *(o.new_empty(0) if state is None else state for state in states)

    @op.register_fake
    def _(q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale, gate_normalizer=None):
        B, _, H, K = q.shape
        dtype = compute_dtype(q, k, v, g_fwd, g_bwd)
        return torch.empty(v.shape, dtype=v.dtype, device=v.device), *(
            v.new_empty(0)
            if g is None
            else torch.empty(B, H, K, v.shape[-1], dtype=dtype, device=v.device)
            for g in (g_fwd, g_bwd)
        )

    def function(q, k, v, g_fwd, g_bwd, *args):
        o, last_fwd, last_bwd = op(q, k, v, g_fwd, g_bwd, *args)
        return o, None if g_fwd is None else last_fwd, None if g_bwd is None else last_bwd

    _file_flops(name, _forward_flops)
    return function


# FLOPs of the recurrence, whatever a backend spends: one multiply-add per state entry for the
# update and one for the read, each direction; backward has five such products (q, k, v, state, its
# gradient). Gates are not counted, as FLOP counters count no pointwise operation.
def _forward_flops(q, k, v, g_fwd, g_bwd, *args, out_shape=None, **kwargs) -> int:
    return 2 * 2 * _directions(g_fwd, g_bwd) * _entries(q, v)


def _backward_flops(do, q, k, v, g_fwd, g_bwd, *args, out_shape=None, **kwargs) -> int:
    return 2 * 5 * _directions(g_fwd, g_bwd) * _entries(q, v)


def _directions(g_fwd, g_bwd) -> int:
    return (g_fwd is not None) + (g_bwd is not None)


def _entries(q_shape, v_shape) -> int:
    B, T, H, K = q_shape
    return B * T * H * K * v_shape[-1]


def _file_flops(name: str, count: Callable) -> None:
    # Not by `register_flop_formula`: in torch 2.4 it files them where the counter does not look.
    flop_registry[getattr(torch.ops.mmvig, name)] = shape_wrapper(count)
