"""What a checkpoint of mmengine may name besides tensors, numbers and containers.

mmengine's own list, where it has one, allows plain `getattr`, through which a file can reach any
function. Upstream mmengine has no list. This one serves both.
"""

import _codecs
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pickle import UnpicklingError
from types import SimpleNamespace

import numpy as np
import torch

from mmvig.optional import import_or_none

mmengine_logging = import_or_none('mmengine.logging')
mmengine_checkpoint = import_or_none('mmengine.runner.checkpoint') or SimpleNamespace()


class _NoHistoryBuffer:
    """Stands in for mmengine's, so that its checkpoints can be read where it is not installed."""

    min = max = current = mean = None


_NoHistoryBuffer.__module__ = 'mmengine.logging.history_buffer'
_NoHistoryBuffer.__qualname__ = _NoHistoryBuffer.__name__ = 'HistoryBuffer'
HistoryBuffer = mmengine_logging.HistoryBuffer if mmengine_logging else _NoHistoryBuffer
# torch refuses to load anything where both variables are set.
_FORCE, _FORBID = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_LIST = 'get_torch_safe_globals'


def allow() -> None:
    """Let `torch.load(weights_only=True)` read history buffers and NumPy arrays, in this process.

    Registered globally, as torch 2.4 has no scoped form, and again on every call, as mmengine's use
    of the scoped form in newer versions removes shared entries on exit.
    """
    present = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([item for item in _ALLOWED if item not in present])


@contextmanager
def only_weights() -> Iterator[None]:
    """Within it no `torch.load` of this process, nor of those it starts, runs code from a file.

    torch's switch wins over the argument `weights_only`, so a loader that retries without the
    restriction is refused again. mmengine's list of allowed functions is empty meanwhile. On exit
    the environment and mmengine are as they were.
    """
    environment = {name: os.environ.pop(name, None) for name in (_FORCE, _FORBID)}
    mmengine_list = getattr(mmengine_checkpoint, _LIST, None)  # upstream has none
    os.environ[_FORCE] = '1'
    setattr(mmengine_checkpoint, _LIST, list)
    allow()
    try:
        yield
    finally:
        os.environ.pop(_FORCE, None)
        os.environ.update({k: value for k, value in environment.items() if value is not None})
        if mmengine_list is None:
            delattr(mmengine_checkpoint, _LIST)
        else:
            setattr(mmengine_checkpoint, _LIST, mmengine_list)


def _statistic(owner: object, name: str) -> Callable:
    """`getattr` as these files need it: pickle writes a buffer's methods as such calls."""
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
