"""Prediction in a forked process, which has none of the threads that its parent computed with.

OpenMP would wait for them for ever, so torch uses one thread there. OpenCV's functions do the work
of its lost threads themselves; stopping those threads by `setNumThreads` would hang.
"""

import functools
import os

import torch


@functools.cache  # once per process, as a hook cannot be taken back
def use_one_thread_after_fork() -> None:
    """From now on, torch computes on one thread in each process that this one forks."""
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
