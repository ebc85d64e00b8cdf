"""Triton's interpreter in less time: the same numbers, without what it repeats."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import triton.language as tl
from triton.runtime import interpreter

from mmvig.kernels.triton import INTERPRETED


@contextmanager
def quick_interpreter() -> Iterator[None]:
    """Where nothing is interpreted, or by Triton 3.0, whose parts are others, nothing changes."""
    if not INTERPRETED or not hasattr(interpreter.InterpretedFunction, 'rewrite'):
        yield
        return
    scope = interpreter._patch_lang(tl.sum.fn)  # of triton.language.core; kernels set up their own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.InterpretedFunction, '__call__', _call)
        patch.setattr(interpreter.ScanOps, 'generic_scan', _scan_by_slices)
        patch.setattr(interpreter, '_get_np_dtype', _get_np_dtype)
        patch.setattr(tl.core.block_type, '__init__', _init_block_type)
        patch.setattr(tl.core.tensor, '__init__', _init_tensor)
        yield
    scope.restore()


def _call(function, *args, **kwargs):
    """Without setting up the language anew for every function that a kernel calls."""
    return function.rewrite()(*args, **kwargs)


def _scan_by_slices(scan, inputs) -> list:
    """The scan step by step as it is, but each step for all entries at once."""
    steps_of = [np.moveaxis(x.handle.data, scan.axis, 0) for x in inputs]
    results = [np.empty_like(x.handle.data) for x in inputs]
    results_of = [np.moveaxis(x, scan.axis, 0) for x in results]
    dtypes = [x.dtype for x in inputs]

    def tensors(arrays) -> list:
        return [scan.to_tensor(x, dtype) for x, dtype in zip(arrays, dtypes, strict=True)]

    for i, step in enumerate(zip(*steps_of, strict=True)):
        combined = tensors(step)
        if i:
            combined = scan.combine_fn.fn(*tensors(x[i - 1] for x in results_of), *combined)
        for result, x in zip(results_of, combined, strict=True):
            result[i] = x.handle.data
    return tensors(results)


@cache
def _block_shape(sizes: tuple[int, ...]) -> tuple:
    """The shape of a type, its number of elements and its words, by Triton's own rules."""
    block = tl.core.block_type.__new__(tl.core.block_type)
    _INIT_BLOCK_TYPE(block, tl.int1, list(sizes))
    return block.shape, block.numel, str(block.shape)


@cache
def _tensor_shape(sizes: tuple[int, ...]) -> tuple:
    return tl.core.tuple([tl.constexpr(size) for size in sizes]), tl.constexpr(math.prod(sizes))


_GET_NP_DTYPE = interpreter._get_np_dtype


@cache
def _np_dtype_of(scalar) -> np.dtype:
    return _GET_NP_DTYPE(scalar)


def _get_np_dtype(type) -> np.dtype:  # noqa: A002
    return _GET_NP_DTYPE(type) if type.scalar.is_ptr() else _np_dtype_of(type.scalar)


_INIT_BLOCK_TYPE = tl.core.block_type.__init__


def _init_block_type(block, element_ty, shape) -> None:
    """A shape is checked and put into words once."""
    sizes = tuple(getattr(size, 'value', size) for size in shape)
    block.element_ty = element_ty
    block.shape, block.numel, words = _block_shape(sizes)
    block.name = f'<{words}, {element_ty}>'


def _init_tensor(tensor, handle, type) -> None:  # noqa: A002 - the name of Triton's argument
    tensor.handle, tensor.type, tensor.dtype = handle, type, type.scalar
    tensor.shape, tensor.numel = _tensor_shape(tuple(type.shape) if type.is_block() else ())
