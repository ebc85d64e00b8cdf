"""Turns a forward and a backward function into a `torch.library` operator.

What every compiled backend shares: shapes for tracing, autograd, autocast and FLOP counting. The
operator is opaque to `torch.compile`, which therefore compiles around it without a graph break.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, shape_wrapper

_ARGS = (
    'Tensor q, Tensor k, Tensor v, Tensor? g_fwd, Tensor? g_bwd, '
    'float scale, float? gate_normalizer=None'
)


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
    _count_flops(name)
    return op


def _count_flops(name: str) -> None:
    """FLOPs of the recurrence, whatever a backend spends: one multiply-add per state entry for the
    update and one for the read, each direction; backward has five such products (q, k, v, state,
    its gradient). Gates are not counted, as FLOP counters count no pointwise operation.
    """

    def directions(g_fwd, g_bwd) -> int:
        return (g_fwd is not None) + (g_bwd is not None)

    def entries(q_shape, v_shape) -> int:
        B, T, H, K = q_shape
        return B * T * H * K * v_shape[-1]

    def forward(q, k, v, g_fwd, g_bwd, *args, out_shape=None, **kwargs) -> int:
        return 2 * 2 * directions(g_fwd, g_bwd) * entries(q, v)

    def backward(do, q, k, v, g_fwd, g_bwd, *args, out_shape=None, **kwargs) -> int:
        return 2 * 5 * directions(g_fwd, g_bwd) * entries(q, v)

    # Not by `register_flop_formula`: in torch 2.4 it files them where the counter does not look.
    flop_registry[getattr(torch.ops.mmvig, name)] = shape_wrapper(forward)
    flop_registry[getattr(torch.ops.mmvig, f'{name}_backward')] = shape_wrapper(backward)
