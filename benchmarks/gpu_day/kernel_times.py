"""The time of each Triton kernel in one training step of the operator, and of the host's part.

    python -m benchmarks.gpu_day.kernel_times --csv kernel_times.csv

Where Nsight Compute is installed, `kernel_times.txt` beside the rows is its profile of the kernel
that takes longest.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_day.calls import Call, run
from benchmarks.rows import device_name, keep, origin
from mmvig.kernels import triton as triton_backend
from mmvig.kernels.shapes import SHAPES, Shape

KEY = ('kernel', 'B', 'T', 'H', 'K', 'V', 'dtype', 'device')
SHOWN = ('kernel', 'B', 'T', 'H', 'dtype', 'us', 'launches')
PREFIX = 'bi_gla_kernel_'
NAMES = ('2048x2048-stage1', '1024x1024-stage1', 'coco-800x1344-stage2', 'plain-1024x1024')
RUNS = 10


def on_gpu(call: Call) -> Iterator[tuple[str, float, float]]:
    """Kernel, microseconds and launches of one call, forward and backward."""
    tensors = call.tensors('cuda')
    run(call, tensors, 'triton')
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(RUNS):
            run(call, tensors, 'triton')
        torch.cuda.synchronize()
    for event in profiler.key_averages():
        if event.key.startswith(PREFIX):
            yield event.key, event.device_time_total / RUNS, event.count / RUNS
    host = []
    for _ in range(RUNS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run(call, tensors, 'triton')
        host.append(time.perf_counter() - start)
    yield 'host, to issue all', 1e6 * statistics.median(host), 1


def interpreted(call: Call) -> Iterator[tuple[str, float, float]]:
    """The same by the clock, for kernels that run in Triton's interpreter."""
    spent, launches = defaultdict(float), defaultdict(int)

    class Timed:
        def __init__(self, name: str) -> None:
            self.name, self.kernel = name, getattr(triton_backend, name)

        def __getitem__(self, grid):
            def launch(**arguments) -> None:
                start = time.perf_counter()
                self.kernel[grid](**arguments)
                spent[self.name] += 1e6 * (time.perf_counter() - start)
                launches[self.name] += 1

            return launch

    names = [name for name in vars(triton_backend) if name.startswith(PREFIX)]
    with mock.patch.multiple(triton_backend, **{name: Timed(name) for name in names}):
        run(call, call.tensors('cpu'), 'triton')
    yield from ((name, spent[name], launches[name]) for name in spent)


def measure(calls: list[Call]) -> Iterator[dict]:
    cuda = torch.cuda.is_available()
    for call in calls:
        for kernel, us, launches in (on_gpu if cuda else interpreted)(call):
            yield dict(
                kernel=kernel, **call.shape._asdict(), dtype=call.dtype,
                device=device_name('cuda' if cuda else 'cpu'), us=round(us, 2),
                launches=launches, **origin(),
            )  # fmt: skip


def profile_slowest(rows: list[dict], text: Path) -> None:
    """Counters of one launch of the kernel that takes longest, where they can be read."""
    ncu = shutil.which('ncu')
    kernels = [row for row in rows if row['kernel'].startswith(PREFIX)]
    if ncu is None or not kernels:
        return
    slowest = max(kernels, key=lambda row: row['us'])['kernel']
    command = [
        ncu, '--clock-control', 'none', '--set', 'full', '--kernel-name', slowest,
        '--launch-count', '1', sys.executable, '-m', 'benchmarks.gpu_day.kernel_times', '--once',
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    text.write_text(done.stdout + done.stderr)
    sys.stdout.write(f'profile of {slowest}: {text.name}, status {done.returncode}\n')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--csv', type=Path, default=Path('kernel_times.csv'))
    parser.add_argument('--small', action='store_true', help='one tiny call')
    parser.add_argument('--once', action='store_true', help='run one call and no more')
    args = parser.parse_args(argv)
    calls = [Call(SHAPES[name], dtype) for name in NAMES for dtype in ('bfloat16', 'float32')]
    if args.small:
        calls = [Call(Shape(1, 3, 1, 5, 7), 'bfloat16')]
    if args.once:
        run(calls[0], calls[0].tensors('cuda'), 'triton')
        torch.cuda.synchronize()
        return
    rows = []

    def noted(measured: Iterator[dict]) -> Iterator[dict]:
        for row in measured:
            rows.append(row)
            yield row

    keep(args.csv, noted(measure(calls)), KEY, SHOWN)
    profile_slowest(rows, args.csv.with_suffix('.txt'))


if __name__ == '__main__':
    main()
