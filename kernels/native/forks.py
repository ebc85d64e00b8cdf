"""How many threads may compute: one in a child forked from a process that has computed.

A fork copies only the thread that asks for it. Where OpenMP has threads already, a child that wants
to use them waits for ever; so do torch's own operations. OpenCV's functions do the work of its lost
threads themselves; stopping those threads by `setNumThreads` would hang.
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
        use_one_thread_in_forks()
    return threads


@functools.cache  # once per process, as a hook cannot be taken back
def use_one_thread_in_forks() -> None:
    """From now on, torch and bi_gla compute on one thread in each process that this one forks.

    What was compiled in this process is run uncompiled there.

    For whoever is about to compute, by the operator or by other parts of a model.
    """
    if hasattr(os, 'register_at_fork'):  # where there is no fork, nothing hangs
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    """Of torch too: a model's other operations come before and after this one."""
    global _forked
    if torch.get_num_threads() > 1:
        _forked = True
        torch.set_num_threads(1)
        if hasattr(torch.compiler, 'set_stance'):  # since torch 2.6
            # Compiled code has the number of threads of its parent in it, and would wait as well.
            torch.compiler.set_stance('force_eager')


@functools.cache
def _warn() -> None:
    warnings.warn(
        'bi_gla runs on one thread: this process was forked from one that had computed, and '
        "threads do not survive a fork; start it by multiprocessing's method 'spawn' for all of "
        'them',
        stacklevel=2,
    )
