"""The native backend: the recurrence itself in C++, on a CPU.

Where a chunk form passes over memory some thirty times, a walk over the tokens with the state of a
head in registers and cache reads each input once and writes each output once. Parallel over images
and heads, and over parts of the sequence where those are too few for the threads; results are equal
to the bit whatever the number of threads. Only inputs are kept for the backward pass.

q, k and v in bfloat16 are read as they are, and the output and their gradients written so, each
rounded once; decays, states and sums are in float32 then.
"""

import ctypes

import torch
from torch import Tensor

from ..dtypes import compute_dtype
from .build import load
from .forks import num_threads


class _View(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), *((name, ctypes.c_int64) for name in 'bthd')]

    def __init__(self, x: Tensor | None = None) -> None:
        if x is None:
            super().__init__()
        else:
            super().__init__(x.data_ptr(), *x.stride())


class _Args(ctypes.Structure):
    """`BiGlaArgs` of tensors.h."""

    SIZE = 'bi_gla_args_size'  # the function that tells it
    _fields_ = [
        *((name, _View) for name in ('q', 'k', 'v', 'decay_fwd', 'decay_bwd')),
        *((name, _View) for name in ('o', 'dout', 'dq', 'dk', 'dv', 'dg_fwd', 'dg_bwd')),
        *((name, ctypes.c_void_p * 2) for name in ('initial', 'last')),
        *((name, ctypes.c_int64) for name in (*'BTHKV', 'threads')),
        ('factor', ctypes.c_double),
    ]


class _GateArgs(ctypes.Structure):
    """`GateArgs` of tensors.h."""

    SIZE = 'gate_args_size'
    _fields_ = [
        ('gate', _View),
        *((name, ctypes.c_void_p) for name in ('decay', 'out')),
        *((name, ctypes.c_int64) for name in (*'BTHK', 'threads')),
        ('normalizer', ctypes.c_double),
    ]


def native_forward(
    q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None
) -> Tensor:
    """o of `mmvig.kernels.bi_gla`, whose arguments these are; gates are logits with a normalizer.

    Raises:
        RuntimeError: a tensor is not on a CPU, or the library cannot be built (build.py).
    """
    inputs = _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer)
    out = torch.empty(v.shape, dtype=inputs[0].dtype)
    _run(inputs, scale, out=out)
    return out.to(v.dtype)


def native_states(
    q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale: float,
    gate_normalizer: float | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """o, and the state [B, H, K, V] that each direction leaves; None where it does not run."""
    inputs = _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer)
    dtype = compute_dtype(q, k, v, g_fwd, g_bwd)
    B, _, H, K = q.shape
    out = torch.empty(v.shape, dtype=inputs[0].dtype)
    initial = [None if x is None else x.contiguous() for x in (initial_fwd, initial_bwd)]
    last = [
        None if g is None else torch.empty(B, H, K, v.shape[-1], dtype=dtype)
        for g in (g_fwd, g_bwd)
    ]
    _run(inputs, scale, out=out, initial=initial, last=last)
    return out.to(v.dtype), *last


def native_backward(
    do, q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None
) -> tuple[Tensor | None, ...]:
    """Gradients of q, k, v and the gates (or logits), None for a gate that is None."""
    q_, k_, v_, *decays = inputs = _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer)
    grads = [torch.empty(x.shape, dtype=x.dtype) for x in (q_, k_, v_)]
    # A walk is done with the decays of a token when it writes the gradient of its gates.
    _run(inputs, scale, dout=do.to(v_.dtype), grads=[*grads, *decays])
    grads = [grad.to(x.dtype) for grad, x in zip(grads, (q, k, v), strict=True)]
    gates = zip((g_fwd, g_bwd), decays, strict=True)
    return *grads, *(_gate_gradient(g, grad, gate_normalizer) for g, grad in gates)


def _gate_gradient(gate, grad, normalizer: float | None) -> Tensor | None:
    """That of a gate, or of its logit, in its dtype; `grad` is that of ln decay, not used after."""
    if gate is None:
        return None
    if normalizer is None:
        return grad.to(gate.dtype)
    gate_ = _readable(gate, grad.dtype)
    out = grad if gate_.dtype == grad.dtype else torch.empty(grad.shape, dtype=gate_.dtype)
    _run_on_gates('gate_gradients', gate_, grad, normalizer, out)
    return out.to(gate.dtype)


def _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer: float | None) -> list[Tensor | None]:
    """q, k and v in the dtype that the library reads, and the decays of both directions."""
    tensors = (q, k, v, g_fwd, g_bwd)
    for x in tensors:
        if x is not None and x.device.type != 'cpu':
            raise RuntimeError(f'the native backend runs on CPUs, got a tensor on {x.device}')
    dtype = compute_dtype(*tensors)
    decays = [_decays(g, dtype, gate_normalizer) for g in (g_fwd, g_bwd)]
    if dtype == torch.float32 and all(x.dtype == torch.bfloat16 for x in (q, k, v)):
        dtype = torch.bfloat16
    return [q.to(dtype), k.to(dtype), v.to(dtype), *decays]


def _decays(gate: Tensor | None, dtype: torch.dtype, normalizer: float | None) -> Tensor | None:
    if gate is None:
        return None
    decays = torch.empty(gate.shape, dtype=dtype)
    _run_on_gates('decays', _readable(gate, dtype), decays, normalizer)
    return decays


def _readable(gate: Tensor, dtype: torch.dtype) -> Tensor:
    """In a dtype that the library reads where it computes in this one."""
    as_it_is = dtype == torch.float32 and gate.dtype == torch.bfloat16
    return gate if as_it_is else gate.to(dtype)


def _run_on_gates(name: str, gate, decay, normalizer: float | None, out=None) -> None:
    """Write `decay`, or, where `out` is given, the gradient of the gate from that of ln decay."""
    library = _library()
    out = None if out is None else out.data_ptr()
    args = _GateArgs(
        _View(gate), decay.data_ptr(), out, *gate.shape, num_threads(), normalizer or 0.0
    )
    getattr(library, f'{name}_{_name(gate.dtype)}')(ctypes.byref(args))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def _library() -> ctypes.CDLL:
    library = load()
    for args, name in ((_Args, 'BiGlaArgs'), (_GateArgs, 'GateArgs')):
        expected = getattr(library, args.SIZE)()
        if ctypes.sizeof(args) != expected:
            raise RuntimeError(
                f'the native backend expects arguments of {expected} bytes ({name} in tensors.h), '
                f'got {ctypes.sizeof(args)}: make {args.__name__} declare the same fields'
            )
    return library


def _run(inputs, scale: float, out=None, dout=None, grads=(None,) * 5, initial=(), last=()) -> None:
    """Write `out`, or, where `dout` is given, the gradients of the inputs."""
    library = _library()
    q, v, decays = inputs[0], inputs[2], inputs[3:]
    directions = sum(decay is not None for decay in decays)
    views = map(_View, (*inputs, out, dout, *grads))
    states = (
        (ctypes.c_void_p * 2)(*(None if x is None else x.data_ptr() for x in pair))
        for pair in (initial, last)
    )
    args = _Args(*views, *states, *q.shape, v.shape[-1], num_threads(), scale / directions)
    getattr(library, f'bi_gla_{_name(q.dtype)}')(ctypes.byref(args), dout is not None)
