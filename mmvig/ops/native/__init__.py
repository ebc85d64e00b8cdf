"""Layers of single tokens in C++, on CPUs: inputs are read once and outputs written once.

The C++ is built at the first use (`mmvig/kernels/native/build.py`). Where that fails, on GPUs, for
other dtypes and under tracers, the layers' formulas in torch run: `is_usable` says which. Sums and
formulas are in float32, and numbers in bfloat16 are rounded once.
"""

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from mmvig.kernels.native.build import load
from mmvig.kernels.native.forks import num_threads

from ..execution import are_plain, runs_eagerly_on_cpu

SOURCE = Path(__file__).with_name('tokens.cpp')
_DTYPES = {torch.float32: 'float32', torch.bfloat16: 'bfloat16'}
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_int64
_ARGUMENTS = {  # of the functions in tokens.cpp
    'norm': (*[_POINTER] * 5, _SIZE, _SIZE, ctypes.c_float, _SIZE),
    'swiglu': (*[_POINTER] * 3, _SIZE, _SIZE, _SIZE),
    'blend': (*[_POINTER] * 8, _SIZE, _SIZE),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library of tokens.cpp; None where it cannot be built, as the operator has said."""
    try:
        found = load(SOURCE)
    except (RuntimeError, OSError):
        return None
    for name, arguments in _ARGUMENTS.items():
        for dtype in _DTYPES.values():
            function = getattr(found, f'{name}_{dtype}')
            function.argtypes, function.restype = arguments, None
    return found


def is_usable(*tensors: Tensor) -> bool:
    """Whether the functions below take these tensors."""
    dtype = tensors[0].dtype
    return (
        dtype in _DTYPES
        and runs_eagerly_on_cpu(tensors[0])
        and are_plain(*tensors)
        and all(x.dtype == dtype and x.layout == torch.strided for x in tensors)
        and all(x.is_contiguous() for x in tensors)
        and tensors[0].numel() > 0
        and library() is not None
    )


def is_usable_weight(weight: Tensor, x: Tensor) -> bool:
    """Whether it has a number for each channel of x."""
    return (
        are_plain(weight)
        and weight.device == x.device
        and weight.layout == torch.strided
        and weight.shape == x.shape[-1:]
    )


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / √(mean(x²) + eps) ⊙ weight over the last axis."""
    y = torch.empty_like(x)
    _call('norm', x, None, _float(weight), y, None, *_rows(x), eps)
    return y


def rms_norm_backward(dy: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Gradients of x and, in float32, of the weight; the same on any number of threads."""
    dx, d_weight = torch.empty_like(x), torch.empty(weight.shape)
    _call('norm', x, dy, _float(weight), dx, d_weight, *_rows(x), eps)
    return dx, d_weight


def swiglu(x: Tensor) -> Tensor:
    """silu(a) ⊙ b of x = [a, b] along the last axis."""
    y = torch.empty(*x.shape[:-1], x.shape[-1] // 2, dtype=x.dtype)
    _call('swiglu', x, None, y, *_rows(y))
    return y


def swiglu_backward(dy: Tensor, x: Tensor) -> Tensor:
    """The gradient of x."""
    dx = torch.empty_like(x)
    _call('swiglu', x, dy, dx, *_rows(dy))
    return dx


def blend(gate: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """s ⊙ a + (1 - s) ⊙ b with s = sigmoid(gate)."""
    y = torch.empty_like(gate)
    _call('blend', gate, a, b, None, y, None, None, None, y.numel())
    return y


def blend_backward(dy: Tensor, gate: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Gradients of gate, a and b."""
    grads = tuple(torch.empty_like(x) for x in (gate, a, b))
    _call('blend', gate, a, b, dy, None, *grads, dy.numel())
    return grads


def _float(weight: Tensor) -> Tensor:
    return weight.float().contiguous()


def _rows(x: Tensor) -> tuple[int, int]:
    width = x.shape[-1]
    return x.numel() // width, width


def _call(name: str, x: Tensor, *args: Tensor | float | None) -> None:
    function = getattr(library(), f'{name}_{_DTYPES[x.dtype]}')
    values = (arg.data_ptr() if isinstance(arg, Tensor) else arg for arg in (x, *args))
    function(*values, num_threads())
