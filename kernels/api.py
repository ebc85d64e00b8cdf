"""`bi_gla`: what the operation means, what it accepts, and which backend runs it.

Dimension letters: B batch, T tokens, H heads, K key width, V value width per head.
"""

import functools
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from .checks import check_states, check_tensors, refuse_gradients
from .library import make_op, make_states_op


def _lazy(module: str, function: str) -> Callable:
    """A function whose module is imported by its first call: unused backends need not import."""

    def call(*args):
        return getattr(import_module(module, __package__), function)(*args)

    return call


BACKENDS: dict[str, Callable] = {
    'reference': _lazy('.reference', 'bi_gla_reference'),
    # Operators are made at import, so that tracers and counters started before the first call
    # know them.
    'chunked': make_op(
        'bi_gla_chunked',
        _lazy('.chunked', 'chunked_forward'),
        _lazy('.chunked', 'chunked_backward'),
    ),
    'native': make_op(
        'bi_gla_native',
        _lazy('.native', 'native_forward'),
        _lazy('.native', 'native_backward'),
    ),
    'triton': make_op(
        'bi_gla_triton',
        _lazy('.triton', 'triton_forward'),
        _lazy('.triton', 'triton_backward'),
    ),
}

# With states, which are operators of their own: those without stay what exported programs call.
STATES_BACKENDS: dict[str, Callable] = {
    'reference': _lazy('.reference', 'reference_states'),
    'chunked': make_states_op('bi_gla_chunked_states', _lazy('.chunked', 'chunked_states')),
    'native': make_states_op('bi_gla_native_states', _lazy('.native', 'native_states')),
    'triton': make_states_op('bi_gla_triton_states', _lazy('.triton', 'triton_states')),
}

TRITON_CAPABILITY = (8, 0)  # tensor cores with tf32 and bfloat16


def bi_gla(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_fwd_BTHK: Tensor | None,
    g_bwd_BTHK: Tensor | None,
    *,
    scale: float | None = None,
    gate_normalizer: float | None = None,
    initial_states: tuple[Tensor | None, Tensor | None] = (None, None),
    return_states: bool = False,
    backend: str = 'auto',
) -> Tensor | tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
    """Bidirectional gated linear attention (arXiv 2405.18425, section 3.2).

    For each head, a state S [K, V] walks over the tokens in both directions, decayed by a gate per
    key channel; both walks share q, k and v and include the token itself::

        S_t = diag(exp g_fwd_t) S_{t-1} + k_tᵀ v_t    o_fwd_t = q_t S_t    t = 1 … T
        S_t = diag(exp g_bwd_t) S_{t+1} + k_tᵀ v_t    o_bwd_t = q_t S_t    t = T … 1
        o_t = scale · (o_fwd_t + o_bwd_t) / 2

    With one gate None only the other direction runs, and its output is not halved: the causal
    (`g_bwd=None`) or anti-causal (`g_fwd=None`) form. Cost and memory are linear in T.

    Args:
        q_BTHK, k_BTHK: queries and keys, [B, T, H, K].
        v_BTHV: values, [B, T, H, V].
        g_fwd_BTHK, g_bwd_BTHK: natural logarithms of the decays, [B, T, H, K], at most 0 (not
            checked: it would cost a pass over memory). Any size down to -inf is exact. They may be
            broadcast views (stride 0): one constant per head is retention.
        scale: factor on the output; K^-1/2 by default.
        gate_normalizer: if given, `g_fwd` and `g_bwd` are logits x of any sign, and the gates are
            logsigmoid(x) / gate_normalizer, computed inside: no gates are written or kept.
        initial_states: (forward, backward), each S [B, H, K, V] as in the equations above, without
            `scale`, in float32 (float64 where any argument is), or None for zeros: the forward S_0
            that stands before the first token, and the backward S_{T+1} after the last one. The
            first token of a walk decays what it is given by its own gate.
        return_states: also return the states that the walks leave behind, forward S_T and backward
            S_1: the initial states of the tokens that follow, or of those that come before. So a
            sequence can be worked on in parts. States have no gradients.
        backend: 'auto', or one of `BACKENDS` by name, which then runs or raises.

    Floating dtypes may be mixed, and strides are free. Sums are taken in at least float32.

    Returns:
        o, [B, T, H, V], in the dtype of v; with `return_states` (o, (forward, backward)), where the
        state of a direction without gate is None.

    Raises:
        TypeError: an argument is not a floating-point tensor of 16, 32 or 64 bits, or a state not
            one of the dtype that sums are taken in.
        ValueError: shapes or devices do not fit, a tensor is sparse or nested, both gates are None,
            a state has no gate, or the backend is unknown.
        RuntimeError: states are given or returned where a gradient would be recorded.
    """
    gates = {'g_fwd': g_fwd_BTHK, 'g_bwd': g_bwd_BTHK}
    gates = {name: gate for name, gate in gates.items() if gate is not None}
    tensors = {'q': q_BTHK, 'k': k_BTHK, 'v': v_BTHV, **gates}
    check_tensors(tensors)
    if not gates:
        raise ValueError('bi_gla: expected at least one of g_fwd and g_bwd, both are None')
    check_states(initial_states, tensors)
    with_states = return_states or any(state is not None for state in initial_states)
    if with_states:
        refuse_gradients(*tensors.values(), *initial_states)
    if backend == 'auto':
        backend = _choose(q_BTHK, v_BTHV)
    if backend not in BACKENDS:
        names = ', '.join(['auto', *BACKENDS])
        raise ValueError(f'bi_gla: expected backend to be one of {names}; got {backend!r}')
    if scale is None:
        scale = q_BTHK.shape[-1] ** -0.5
    if gate_normalizer is not None and not 0 < gate_normalizer < float('inf'):
        raise ValueError(
            f'bi_gla: expected a finite gate_normalizer above 0 or None, got {gate_normalizer}'
        )
    tensors = (q_BTHK, k_BTHK, v_BTHV, g_fwd_BTHK, g_bwd_BTHK)
    numbers = (float(scale), None if gate_normalizer is None else float(gate_normalizer))
    if not with_states:
        return BACKENDS[backend](*tensors, *numbers)
    o_BTHV, *last = STATES_BACKENDS[backend](*tensors, *initial_states, *numbers)
    return (o_BTHV, tuple(last)) if return_states else o_BTHV


def _choose(q: Tensor, v: Tensor) -> str:
    """Triton on a GPU, C++ on a CPU; the chunk form for what neither supports."""
    if q.device.type == 'cpu':
        return 'native' if _native_runs() else 'chunked'
    supported = (
        q.device.type == 'cuda'
        and find_spec('triton') is not None
        and q.dtype != torch.float64
        and v.dtype != torch.float64
        and max(q.shape[-1], v.shape[-1]) <= 256
        and _triton_runs(q.device)
    )
    return 'triton' if supported else 'chunked'


@torch.compiler.assume_constant_result
def _triton_runs(device: torch.device) -> bool:
    return not _is_too_old(torch.cuda.get_device_capability(device))


@functools.cache
def _is_too_old(capability: tuple[int, int]) -> bool:
    """Whether a GPU lacks what the Triton kernels are built and tested for, said once if so."""
    if capability >= TRITON_CAPABILITY:
        return False
    warnings.warn(
        'bi_gla runs in its slower chunk form: the Triton kernels are made for GPUs of compute '
        'capability {}.{} and up, got {}.{}'.format(*TRITON_CAPABILITY, *capability),
        stacklevel=2,
    )
    return True


@torch.compiler.assume_constant_result
def _native_runs() -> bool:
    from .native.build import unavailable_reason

    return unavailable_reason() is None
