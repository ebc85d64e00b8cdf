"""The native backend: the recurrence itself in C++, on a CPU.

Where a chunk form passes over memory some thirty times, a walk over the tokens with the state of a
head in registers and cache reads each input once and writes each output once. Parallel over images,
heads and directions. Only inputs are kept for the backward pass.
"""

import ctypes
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dtypes import compute_dtype
from .build import load
from .forks import num_threads

TOKENS_PER_CHUNK = 2048  # the temporaries between gate and decay stay in cache


class _View(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), *((name, ctypes.c_int64) for name in 'bthd')]

    def __init__(self, x: Tensor | None = None) -> None:
        if x is None:
            super().__init__()
        else:
            super().__init__(x.data_ptr(), *x.stride())


class _Args(ctypes.Structure):
    """`BiGlaArgs` of bi_gla.cpp."""

    _fields_ = [
        *((name, _View) for name in ('q', 'k', 'v', 'decay_fwd', 'decay_bwd')),
        *((name, _View) for name in ('o', 'dout', 'dq', 'dk', 'dv', 'dg_fwd', 'dg_bwd')),
        *((name, ctypes.c_void_p * 2) for name in ('initial', 'last')),
        *((name, ctypes.c_int64) for name in (*'BTHKV', 'threads')),
        ('factor', ctypes.c_double),
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
    dtype = inputs[0].dtype
    B, _, H, K = q.shape
    out = torch.empty(v.shape, dtype=dtype)
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
    inputs = _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer)
    dtype = inputs[0].dtype
    grads = [None if x is None else torch.empty(x.shape, dtype=dtype) for x in inputs]
    _run(inputs, scale, dout=do.to(dtype), grads=grads)
    if gate_normalizer is not None:
        for logits, grad in zip((g_fwd, g_bwd), grads[3:], strict=True):
            if grad is not None:
                for x, part in _chunks(logits, grad):
                    part.mul_(x.to(dtype).neg().sigmoid_().div_(gate_normalizer))
    return tuple(
        None if x is None else grad.to(x.dtype)
        for x, grad in zip((q, k, v, g_fwd, g_bwd), grads, strict=True)
    )


def _inputs(q, k, v, g_fwd, g_bwd, gate_normalizer: float | None) -> list[Tensor | None]:
    """q, k, v and the decays of both directions in the dtype of the computation."""
    tensors = (q, k, v, g_fwd, g_bwd)
    for x in tensors:
        if x is not None and x.device.type != 'cpu':
            raise RuntimeError(f'the native backend runs on CPUs, got a tensor on {x.device}')
    dtype = compute_dtype(*tensors)
    decays = [_decays(g, dtype, gate_normalizer) for g in (g_fwd, g_bwd)]
    return [q.to(dtype), k.to(dtype), v.to(dtype), *decays]


def _chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(x.split(TOKENS_PER_CHUNK, 1) for x in tensors), strict=True)


def _decays(gate: Tensor | None, dtype: torch.dtype, normalizer: float | None) -> Tensor | None:
    if gate is None:
        return None
    decays = torch.empty(gate.shape, dtype=dtype)
    for x, part in _chunks(gate, decays):
        x = x.to(dtype)
        torch.exp(x if normalizer is None else F.logsigmoid(x).div_(normalizer), out=part)
    return decays


def _run(inputs, scale: float, out=None, dout=None, grads=(None,) * 5, initial=(), last=()) -> None:
    """Write `out`, or, where `dout` is given, the gradients of the inputs."""
    library = load()
    expected = library.bi_gla_args_size()
    if ctypes.sizeof(_Args) != expected:
        raise RuntimeError(
            f'the native backend expects arguments of {expected} bytes (BiGlaArgs in bi_gla.cpp), '
            f'got {ctypes.sizeof(_Args)}: make _Args declare the same fields'
        )
    q, v, decays = inputs[0], inputs[2], inputs[3:]
    directions = sum(decay is not None for decay in decays)
    views = map(_View, (*inputs, out, dout, *grads))
    states = (
        (ctypes.c_void_p * 2)(*(None if x is None else x.data_ptr() for x in pair))
        for pair in (initial, last)
    )
    args = _Args(*views, *states, *q.shape, v.shape[-1], num_threads(), scale / directions)
    function = getattr(library, f'bi_gla_{str(q.dtype).removeprefix("torch.")}')
    function(ctypes.byref(args), dout is not None)
