"""Time and peak memory of one call, on a GPU or a CPU."""

import ctypes
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch


def freed_memory() -> str:
    """What glibc does with a large tensor when it is freed: 'returned' to the system or 'kept'.

    It is kept under MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184.
    """
    return 'kept' if os.environ.get('MALLOC_MMAP_MAX_') == '0' else 'returned'


class Timer:
    """Milliseconds of one call; on a GPU by events, with the cache flushed before it."""

    def __init__(self, device: str) -> None:
        self.cuda = device == 'cuda'
        self.flush = torch.empty(2**28 if self.cuda else 1, dtype=torch.int8, device=device)

    def __call__(self, function: Callable[[], object]) -> float:
        if not self.cuda:
            start = time.perf_counter()
            function()
            return 1e3 * (time.perf_counter() - start)
        self.flush.zero_()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        function()
        last.record()
        torch.cuda.synchronize()
        return first.elapsed_time(last)


def peak_bytes(device: str, function: Callable[[], object]) -> int:
    """Growth of the peak memory over one call (Linux, or the GPU's allocator)."""
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    ctypes.CDLL('libc.so.6').malloc_trim(0)  # what earlier calls freed must count again
    Path('/proc/self/clear_refs').write_text('5')
    before = _status('VmRSS')
    function()
    return _status('VmHWM') - before


def _status(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
