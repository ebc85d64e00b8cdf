"""How the operator's native backend shares its work between threads.

    python -m benchmarks.threads --threads 1 2

A line for each shape and pass: milliseconds, and how many times as fast that is as the first
number of threads, which a quiet machine says best; the milliseconds that all threads together
computed, and those of the one that computed most, which other work disturbs less. Medians of the
runs, in which numbers of threads alternate. Threads beyond the cores take turns: their shares say
nothing.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'passive')  # read with torch: waiting is no work

import torch
import torch.nn.functional as F

from benchmarks.options import DTYPES
from mmvig.kernels.native import native_backward, native_forward
from mmvig.kernels.shapes import SHAPES, Shape

HEADER = f'{"shape":22} {"pass":8} threads      ms  ratio  all ms  largest'


def thread_ms() -> dict[str, float]:
    """Milliseconds that each thread of this process has computed."""
    ms = {}
    for task in Path('/proc/self/task').iterdir():
        try:
            ms[task.name] = int((task / 'schedstat').read_text().split()[0]) / 1e6
        except FileNotFoundError:  # it has just ended
            continue
    return ms


def measure(call: Callable[[], object], threads: int) -> tuple[float, float, float]:
    """Milliseconds of a call, all threads' and the largest thread's."""
    torch.set_num_threads(threads)
    call()  # starts threads
    before, start = thread_ms(), time.perf_counter()
    call()
    ms = 1e3 * (time.perf_counter() - start)
    shares = [after - before.get(name, 0) for name, after in thread_ms().items()]
    return ms, sum(shares), max(shares)


def calls(shape: Shape, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    B, T, H, K, V = shape
    q, k = (torch.randn(B, T, H, K).to(dtype) for _ in range(2))
    v, do = (torch.randn(B, T, H, V).to(dtype) for _ in range(2))
    gates = [F.logsigmoid(torch.randn(B, T, H, K)) / 16 for _ in range(2)]
    return {
        'forward': lambda: native_forward(q, k, v, *gates, 0.25),
        'backward': lambda: native_backward(do, q, k, v, *gates, 0.25),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--dtype', choices=DTYPES, default='float32')
    parser.add_argument('--batch', type=int, help='images; those of the shape unless given')
    parser.add_argument('--shapes', nargs='+', choices=SHAPES, default=SHAPES, metavar='SHAPE')
    parser.add_argument('--runs', type=int, default=7)
    args = parser.parse_args(argv)
    sys.stdout.write(f'{HEADER}\n')
    for name in args.shapes:
        shape = SHAPES[name]._replace(B=args.batch or SHAPES[name].B)
        for what, call in calls(shape, DTYPES[args.dtype]).items():
            rounds = [[measure(call, n) for n in args.threads] for _ in range(args.runs)]
            medians = [
                [statistics.median(column) for column in zip(*runs, strict=True)]
                for runs in zip(*rounds, strict=True)
            ]
            for threads, (ms, total, largest) in zip(args.threads, medians, strict=True):
                numbers = f'{ms:7.1f} {medians[0][0] / ms:6.2f} {total:7.1f} {largest:8.1f}'
                sys.stdout.write(f'{name:22} {what:8} {threads:7} {numbers}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
