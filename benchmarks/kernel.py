"""Time, bytes and memory of bidirectional gated linear attention, side by side with its peers.

    python -m benchmarks.kernel --csv benchmarks/results/kernel.csv           # all shapes, then lengths
    python -m benchmarks.kernel --csv benchmarks/results/kernel.csv --plot    # draws time against T

Every provider's output (and gradients) is checked against the token loop in float64 first, and none
that fails is reported. Providers are timed in turns within one run. `of_copy` is the time that the
bytes of a call need at the measured copy bandwidth, over the time it took; `peak_over_io` the peak
memory, inputs included, over that of inputs and output. A row replaces an older one of the same
provider, mode, shape, dtype and device.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.implementations import (
    BUILDERS,
    FORWARD_ONLY,
    OTHER_FUNCTION,
    SLOW_TO_BUILD,
    Provider,
)
from benchmarks.rows import device_name, merge, origin, read
from benchmarks.timing import Timer, peak_bytes
from mmvig.kernels.reference import bi_gla_reference
from mmvig.kernels.shapes import LENGTHS, SHAPES, Shape

KEY = ('provider', 'mode', 'B', 'T', 'H', 'K', 'V', 'dtype', 'device')
MEASURED = ('ms', 'ms_p20', 'ms_p80', 'gb_s', 'of_copy', 'peak_over_io', 'runs')
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


def make_inputs(shape: Shape, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    B, T, H, K, V = shape
    q, k = (torch.randn(B, T, H, K, device=device, dtype=dtype) for _ in range(2))
    v = torch.randn(B, T, H, V, device=device, dtype=dtype)
    gates = [F.logsigmoid(torch.randn(B, T, H, K, device=device)) / 16 for _ in range(2)]
    return [x.requires_grad_() for x in (q, k, v, *gates)]


def io_bytes(args: list[torch.Tensor], mode: str) -> int:
    """Inputs read and output written; backward reads inputs again and writes as much gradient."""
    inputs, output = sum(x.nbytes for x in args), args[2].nbytes
    return inputs + output if mode == 'forward' else 3 * inputs + 2 * output


def step(provider: Provider, args: list[torch.Tensor], mode: str) -> list[torch.Tensor]:
    if mode == 'forward':
        with torch.no_grad():
            return [provider(*args)]
    out = provider(*args)
    return [out, *torch.autograd.grad(out, args, torch.ones_like(out), allow_unused=True)]


def check(name: str, provider: Provider, dtype: torch.dtype, device: str, mode: str) -> None:
    """Refuse a provider whose numbers are off by more than its dtype explains."""
    args = make_inputs(Shape(2, 200, 3, 16, 32), dtype, device)
    exact = [x.detach().double().requires_grad_() for x in args]
    truth = step(lambda *xs: bi_gla_reference(*xs, xs[0].shape[-1] ** -0.5), exact, mode)
    for found, true in zip(step(provider, args, mode), truth, strict=True):
        error = ((found.double() - true).abs().max() / true.abs().max()).item()
        limit = 16 * torch.finfo(dtype).eps
        if not error <= limit:
            raise SystemExit(
                f'{name} is wrong in {mode}: expected a relative error of at most {limit:.2g}, '
                f'got {error:.2g}'
            )


def copy_bandwidth(device: str, timer: Timer) -> float:
    """Bytes per second, read and written, of a device-to-device copy far larger than the caches."""
    source = torch.empty(2**30 if device == 'cuda' else 2**28, dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    ms = statistics.median(timer(lambda: target.copy_(source)) for _ in range(10))
    return 2 * source.nbytes / (ms / 1e3)


def measure(names: list[str], shapes: list[Shape], dtype: str, device: str, runs: int) -> Iterator:
    providers = {name: made for name in names if (made := BUILDERS[name]()) is not None}
    timer = Timer(device)
    bandwidth = copy_bandwidth(device, timer)
    for mode in ('forward', 'forward+backward'):
        able = {n: p for n, p in providers.items() if mode == 'forward' or n not in FORWARD_ONLY}
        for name, provider in able.items():
            if name not in OTHER_FUNCTION:
                check(name, provider, DTYPES[dtype], device, mode)
        for shape in shapes:
            able = {n: p for n, p in able.items() if n != 'sdpa' or affordable(shape, device)}
            args = make_inputs(shape, DTYPES[dtype], device)
            rounds = [
                {name: timer(partial(step, p, args, mode)) for name, p in able.items()}
                for _ in range(runs + 1)
            ][1:]
            needed, held = io_bytes(args, mode), sum(x.nbytes for x in args)
            for name, provider in able.items():
                times = sorted(r[name] for r in rounds)
                ms = statistics.median(times)
                peak = peak_bytes(device, partial(step, provider, args, mode))
                yield dict(
                    provider=name, mode=mode, **shape._asdict(), dtype=dtype,
                    device=device_name(device), ms=round(ms, 4),
                    ms_p20=round(times[int(0.2 * (runs - 1))], 4),
                    ms_p80=round(times[int(0.8 * (runs - 1))], 4),
                    gb_s=round(needed / ms / 1e6, 2),
                    of_copy=round(needed / (ms / 1e3) / bandwidth, 4),
                    peak_over_io=round((held + peak) / io_bytes(args, 'forward'), 2), runs=runs,
                    **origin(),
                )  # fmt: skip


def affordable(shape: Shape, device: str) -> bool:
    """Whether softmax attention, quadratic in T, ends within seconds."""
    return (1e13 if device == 'cuda' else 1e9) > shape.B * shape.H * shape.T**2


def plot(path: Path) -> None:
    """Time against T, a line a provider, one picture for each device and mode."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    rows = read(path)
    for device, mode, dtype in sorted({(r['device'], r['mode'], r['dtype']) for r in rows}):
        figure, axes = pyplot.subplots(figsize=(6, 4))
        same = [r for r in rows if (r['device'], r['mode'], r['dtype']) == (device, mode, dtype)]
        for provider in sorted({r['provider'] for r in same}):
            points = sorted(
                (int(r['T']), float(r['ms'])) for r in same
                if r['provider'] == provider and (r['B'], r['H'], r['K']) == ('1', '3', '16')
            )  # fmt: skip
            axes.loglog(*zip(*points, strict=True), marker='o', label=provider)
        axes.set(xlabel='tokens', ylabel='ms', title=f'{mode}, {dtype}, 3 heads of 16/32\n{device}')
        axes.grid(which='both', alpha=0.3)
        axes.legend()
        figure.tight_layout()
        target = path.with_name(f'{path.stem}-{mode}-{dtype}-{device.split()[0]}.png'.lower())
        figure.savefig(target, dpi=120)
        sys.stdout.write(f'{target}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument(
        '--providers', nargs='+', choices=BUILDERS,
        default=[name for name in BUILDERS if name not in SLOW_TO_BUILD],
    )  # fmt: skip
    parser.add_argument('--dtype', choices=DTYPES, default=None, help='bfloat16 on a GPU')
    parser.add_argument('--lengths', nargs='*', type=int, help='tokens of one image of 3 heads')
    parser.add_argument('--shapes', nargs='*', choices=SHAPES, help='all by default')
    parser.add_argument('--runs', type=int, default=20)
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--plot', action='store_true', help='only draw what the file holds')
    args = parser.parse_args()
    if args.plot:
        plot(args.csv)
        return
    torch.manual_seed(0)
    lengths = LENGTHS if args.lengths is None else args.lengths
    names = list(SHAPES) if args.shapes is None else args.shapes
    shapes = [SHAPES[name] for name in names] + [Shape(1, T, 3, 16, 32) for T in lengths]
    dtype = args.dtype or ('bfloat16' if args.device == 'cuda' else 'float32')
    rows = []
    for row in measure(args.providers, shapes, dtype, args.device, args.runs):
        rows.append(row)
        sys.stdout.write(f'{ {k: row[k] for k in (*KEY[:8], *MEASURED)} }\n')
        sys.stdout.flush()
        merge(args.csv, rows, KEY)


if __name__ == '__main__':
    main()
