"""Time and memory of `bi_gla` against the number of tokens, one row a shape and mode.

    python tools/bench_op.py --backend chunked --csv benchmarks/op_cpu.csv

Rows hold the medians of several runs and where they were taken. Peak memory is the growth of a
fresh process over one step, inputs included, as a multiple of what inputs and output take.
"""

import argparse
import csv
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from mmvig import __version__
from mmvig.kernels import bi_gla

TOKENS = (1050, 4200, 16800, 67200, 262144)
FIELDS = ('backend', 'mode', 'B', 'T', 'H', 'K', 'V', 'dtype', 'ms', 'ns_per_token_head',
          'io_mib', 'peak_over_io', 'runs', 'device', 'threads', 'torch', 'mmvig')  # fmt: skip


def inputs(T: int, H: int, K: int, V: int, device: str) -> list[torch.Tensor]:
    torch.manual_seed(0)
    q, k = (torch.randn(1, T, H, K, device=device) for _ in range(2))
    v = torch.randn(1, T, H, V, device=device)
    gates = [F.logsigmoid(torch.randn(1, T, H, K, device=device)) / 16 for _ in range(2)]
    return [x.requires_grad_() for x in (q, k, v, *gates)]


def step(args, backend: str, mode: str) -> None:
    if mode == 'forward':
        with torch.no_grad():
            bi_gla(*args, backend=backend)
    else:
        out = bi_gla(*args, backend=backend)
        torch.autograd.grad(out, args, torch.ones_like(out))


def milliseconds(args, backend: str, mode: str, runs: int) -> float:
    found = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        step(args, backend, mode)
        found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found[1:])


def status(field: str) -> int:
    """A field of Linux's /proc/self/status, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def resident_growth(T: int, H: int, K: int, V: int, backend: str, mode: str) -> int:
    """Bytes by which one step raises this process's peak resident memory, its inputs included."""
    step(inputs(64, H, K, V, 'cpu'), backend, mode)
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew from here
    before = status('VmRSS')
    step(inputs(T, H, K, V, 'cpu'), backend, mode)
    return status('VmHWM') - before


def measure(backend: str, mode: str, shape: tuple[int, int, int, int], runs: int) -> dict:
    T, H, K, V = shape
    command = [sys.executable, __file__, '--peak-of', json.dumps([*shape, backend, mode])]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ms = milliseconds(inputs(*shape, 'cpu'), backend, mode, runs)
    io = 4 * T * H * (4 * K + 2 * V)
    return dict(
        backend=backend, mode=mode, B=1, T=T, H=H, K=K, V=V, dtype='float32', ms=round(ms, 2),
        ns_per_token_head=round(1e6 * ms / (T * H), 1), io_mib=round(io / 2**20, 1),
        peak_over_io=round(peak / io, 2), runs=runs, device=platform.machine(),
        threads=torch.get_num_threads(), torch=torch.__version__, mmvig=__version__,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--backend', default='chunked')
    parser.add_argument('--tokens', type=int, nargs='+', default=TOKENS)
    parser.add_argument('--shape', type=int, nargs=3, default=(3, 16, 32), metavar=('H', 'K', 'V'))
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--csv', type=Path, help='file to write the rows to')
    parser.add_argument('--peak-of', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak_of:
        sys.stdout.write(str(resident_growth(*json.loads(args.peak_of))))
        return
    rows = []
    for mode in ('forward', 'forward+backward'):
        for T in args.tokens:
            rows.append(measure(args.backend, mode, (T, *args.shape), args.runs))
            sys.stdout.write(f'{rows[-1]}\n')
    if args.csv:
        args.csv.parent.mkdir(parents=True, exist_ok=True)
        with args.csv.open('w', newline='') as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == '__main__':
    main()
