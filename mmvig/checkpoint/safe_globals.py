"""What a checkpoint of mmengine may name besides tensors, numbers and containers.

mmengine's own list, where it has one, allows `getattr` as it is, and with that a file reaches every
function there is. Upstream mmengine has no list. This one serves both.
"""

import _codecs
from collections.abc import Callable
from functools import partial
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def allow() -> None:
    """Let `torch.load(weights_only=True)` read history buffers and NumPy arrays, in this process.

    Not for the length of one call: torch 2.4 has no such way. Not once: the context manager of
    newer ones, which mmengine uses, takes away on leaving what it shares with this list.
    """
    present = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([item for item in _ALLOWED if item not in present])


def _statistic(owner: object, name: str) -> Callable:
    """What `getattr` is for in these files: pickle writes the methods of a buffer as such calls."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'getattr of {name} is not allowed')
    return getattr(HistoryBuffer, name)


def _known_as(path: str, function: Callable) -> Callable:
    stand_in = partial(function)
    stand_in.__module__, _, stand_in.__name__ = path.rpartition('.')
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


_ALLOWED = [
    HistoryBuffer,
    _known_as('builtins.getattr', _statistic),
    slice,
    _codecs.encode,  # how pickle writes bytes
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ('bool', 'int32', 'int64', 'uint32', 'float32', 'float64')),
    # NumPy 1 and 2 name the same functions differently; each reads the files of the other.
    *(
        _known_as(f'numpy.{core}.multiarray.{function.__name__}', function)
        for core in ('core', '_core')
        for function in (np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0])
    ),
]
