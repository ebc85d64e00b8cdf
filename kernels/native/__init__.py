"""The native backend: the recurrence itself in C++, on a CPU.

Where a chunk form passes over memory some thirty times, a walk over the tokens with the state of a
head in registers and cache reads each input once and writes each output once. Parallel over images,
heads and directions. Only inputs are kept for the backward pass.
"""

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from .build import load

SLAB = 2048  # tokens of which what stands between a gate and its decay is in cache


class _View(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), *((name, ctypes.c_int64) for name in 'bthd')]

    def __init__(self, x: Tensor | None = None) -> None:
        if x is None:
            super().__init__()
        else:
            super().__init__(x.data_ptr(), *x.stride())


class _Args(ctypes.Structure):
    """`BiGlaArgs` of native.cpp."""

    _fields_ = [
        *((name, _View) for name in ('q', 'k', 'v', 'decay_fwd', 'decay_bwd', 'o')),
        *((name, _View) for name in ('dq', 'dk', 'dv', 'dg_fwd', 'dg_bwd')),
        *((name, ctypes.c_int64) for name in 'BTHKV'),
        ('factor', ctypes.c_double),
    ]


def native_forward(q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float = 0.0) -> Tensor:
    """o of `mmvig.kernels.bi_gla`, whose arguments these are; gates are logits with a normalizer.

    Raises:
        RuntimeError: a tensor is not on a CPU, or the library cannot be built (native_build.py).
    """
    dtype = _compute_dtype(q, k, v, g_fwd, g_bwd)
    out = torch.empty(v.shape, dtype=dtype)
    decays = [_decays(g, dtype, gate_normalizer) for g in (g_fwd, g_bwd)]
    _run((q.to(dtype), k.to(dtype), v.to(dtype), *decays), out, scale)
    return out.to(v.dtype)


def native_backward(
    do, q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float = 0.0
) -> tuple[Tensor | None, ...]:
    """Gradients of q, k, v and the gates (or logits), None for a gate that is None."""
    given = (q, k, v, g_fwd, g_bwd)
    dtype = _compute_dtype(*given)
    decays = [_decays(g, dtype, gate_normalizer) for g in (g_fwd, g_bwd)]
    grads = [None if x is None else torch.empty(x.shape, dtype=dtype) for x in given]
    _run((q.to(dtype), k.to(dtype), v.to(dtype), *decays), do.to(dtype), scale, grads)
    if gate_normalizer:
        for logits, grad in zip((g_fwd, g_bwd), grads[3:], strict=True):
            if grad is not None:
                for x, part in zip(logits.split(SLAB, 1), grad.split(SLAB, 1), strict=True):
                    part.mul_(x.to(dtype).neg().sigmoid_().div_(gate_normalizer))
    return tuple(
        None if x is None else grad.to(x.dtype) for x, grad in zip(given, grads, strict=True)
    )


def _compute_dtype(*given: Tensor | None) -> torch.dtype:
    dtype = torch.float32
    for x in given:
        if x is not None:
            if x.device.type != 'cpu':
                raise RuntimeError(f'the native backend runs on CPUs, got a tensor on {x.device}')
            dtype = torch.promote_types(dtype, x.dtype)
    return dtype


def _decays(gate: Tensor | None, dtype: torch.dtype, normalizer: float) -> Tensor | None:
    if gate is None:
        return None
    decays = torch.empty(gate.shape, dtype=dtype)
    for x, part in zip(gate.split(SLAB, 1), decays.split(SLAB, 1), strict=True):
        x = x.to(dtype)
        torch.exp(F.logsigmoid(x).div_(normalizer) if normalizer else x, out=part)
    return decays


def _run(inputs, out: Tensor, scale: float, grads=None) -> None:
    q, v, decays = inputs[0], inputs[2], inputs[3:]
    directions = sum(decay is not None for decay in decays)
    args = _Args(
        *map(_View, inputs), _View(out), *map(_View, grads or [None] * 5),
        *q.shape, v.shape[-1], scale / directions,
    )  # fmt: skip
    function = getattr(load(), f'bi_gla_{str(q.dtype).removeprefix("torch.")}')
    function(ctypes.byref(args), grads is not None)
