"""Time and peak memory of one call, on a GPU or a CPU."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path

import torch

HOST_CYCLES = 8_000_000  # of a GPU's clock, about 4 ms: more than Python takes to issue a call


def allocator() -> str:
    """The allocator of CPU memory: 'glibc', or a library that is preloaded in its place."""
    maps = Path('/proc/self/maps').read_text()
    return next((name for name in ('tcmalloc', 'jemalloc', 'mimalloc') if name in maps), 'glibc')


class Timer:
    """Measures the milliseconds of a call; on a GPU by events, after flushing the cache.

    With `queued`, a GPU starts only once the host has issued the whole call: what is measured then
    is the GPU's time, without gaps in which it waits for Python. Only for calls that do not wait
    for the GPU themselves.
    """

    def __init__(self, device: str, queued: bool = False) -> None:
        self.cuda, self.queued = device == 'cuda', queued
        self.flush = torch.empty(2**28 if self.cuda else 1, dtype=torch.int8, device=device)

    def __call__(self, function: Callable[[], object]) -> float:
        if not self.cuda:
            start = time.perf_counter()
            function()
            return 1e3 * (time.perf_counter() - start)
        self.flush.zero_()
        if self.queued:
            torch.cuda._sleep(HOST_CYCLES)
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
    _release_freed_memory()  # otherwise memory that the call takes again would not count
    Path('/proc/self/clear_refs').write_text('5')
    before = _status('VmRSS')
    function()
    return _status('VmHWM') - before


def _release_freed_memory() -> None:
    loaded = ctypes.CDLL(None)
    if allocator() == 'tcmalloc':
        loaded.MallocExtension_ReleaseFreeMemory()
    else:
        loaded.malloc_trim(0)


def _status(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
