"""How many threads may compute: one in a forked child.

A fork copies only the thread that asks for it. Where OpenMP has threads already, a child that wants
to use them waits for ever; so do torch's own operations.
"""

import functools
import os
import warnings

import torch

_forked = False  # from a process that had computed on several threads


def num_threads() -> int:
    """torch's number of threads; 1 where others would never answer, said once as a warning."""
    if _forked:
        _warn()
        return 1
    threads = torch.get_num_threads()
    if threads > 1:
        _watch_forks()
    return threads


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    """Of torch too: a model's other operations come before and after this one."""
    global _forked
    _forked = True
    torch.set_num_threads(1)


@functools.cache
def _warn() -> None:
    warnings.warn(
        'bi_gla runs on one thread: this process was forked from one that had computed, and '
        "threads do not survive a fork; start it by multiprocessing's method 'spawn' for all of "
        'them',
        stacklevel=2,
    )
