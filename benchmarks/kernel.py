"""Time, bytes and memory of bidirectional gated linear attention, side by side with its peers.

    python -m benchmarks.kernel --csv benchmarks/results/kernel.csv           # shapes, then lengths
    python -m benchmarks.kernel --csv benchmarks/results/kernel.csv --plot    # draws time against T

The output and gradients of every provider are first checked against the token loop in float64; a
provider that fails is not reported. Providers are timed in turns within one run, on a GPU without
its waits for Python. `of_copy` is the time in which the measured copy bandwidth would move the
bytes of a call, divided by the time that the call took; `peak_over_io` is the peak memory, inputs
included, divided by the size of inputs and output. A row replaces an older one of the same
provider, mode, shape, dtype, device and, of CPUs, family and model.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.implementations import (
    BUILDERS,
    FORWARD_ONLY,
    OTHER_FUNCTION,
    SLOW_TO_BUILD,
    TOKEN_BY_TOKEN,
    Provider,
)
from benchmarks.options import DTYPES, MODES, make_parser, parse_args
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name, keep, origin, read
from benchmarks.timing import Timer, peak_bytes
from mmvig.kernels.reference import bi_gla_reference
from mmvig.kernels.shapes import LENGTHS, SHAPES, Shape

KEY = ('provider', 'mode', 'B', 'T', 'H', 'K', 'V', 'dtype', 'device', 'cpu')
MEASURED = ('ms', 'ms_p20', 'ms_p80', 'gb_s', 'of_copy', 'peak_over_io', 'runs')


def make_inputs(shape: Shape, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    B, T, H, K, V = shape
    q, k = (torch.randn(B, T, H, K, device=device, dtype=dtype) for _ in range(2))
    v = torch.randn(B, T, H, V, device=device, dtype=dtype)
    gates = [F.logsigmoid(torch.randn(B, T, H, K, device=device)) / 16 for _ in range(2)]
    return [x.requires_grad_() for x in (q, k, v, *gates)]


def io_bytes(inputs: list[torch.Tensor], mode: str) -> int:
    """Bytes that a call must move.

    Forward reads the inputs and writes the output; backward reads both again and writes as many
    gradients as there are inputs.
    """
    size, output = sum(x.nbytes for x in inputs), inputs[2].nbytes
    return size + output if mode == 'forward' else 3 * size + 2 * output


def step(provider: Provider, inputs: list[torch.Tensor], mode: str) -> list[torch.Tensor]:
    """Output of one call, and the gradients of its inputs in the mode with backward."""
    if mode == 'forward':
        with torch.no_grad():
            return [provider(*inputs)]
    out = provider(*inputs)
    return [out, *torch.autograd.grad(out, inputs, torch.ones_like(out), allow_unused=True)]


def check(name: str, provider: Provider, dtype: torch.dtype, device: str, mode: str) -> None:
    """Refuse a provider whose error is larger than rounding in its dtype explains."""
    inputs = make_inputs(Shape(2, 200, 3, 16, 32), dtype, device)
    exact_inputs = [x.detach().double().requires_grad_() for x in inputs]
    reference = lambda *xs: bi_gla_reference(*xs, xs[0].shape[-1] ** -0.5)  # noqa: E731
    expected = step(reference, exact_inputs, mode)
    for actual, exact in zip(step(provider, inputs, mode), expected, strict=True):
        error = ((actual.double() - exact).abs().max() / exact.abs().max()).item()
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


def measure(names: list[str], shapes: list[Shape], args: argparse.Namespace) -> Iterator[dict]:
    """A row for each provider, mode and shape."""
    dtype, device, runs = args.dtype, args.device, args.runs
    built = {name: BUILDERS[name]() for name in names}
    built = {name: provider for name, provider in built.items() if provider is not None}
    timer = Timer(device, queued=True)
    bandwidth = copy_bandwidth(device, timer)
    for mode in MODES:
        providers = {n: p for n, p in built.items() if mode == 'forward' or n not in FORWARD_ONLY}
        for name in [name for name in providers if name not in OTHER_FUNCTION]:
            try:
                check(name, providers[name], DTYPES[dtype], device, mode)
            except (Exception, SystemExit) as error:
                if not args.keep_going:
                    raise
                args.left_out.append(f'left out in {mode}: {name}: {error}')
                sys.stderr.write(f'{args.left_out[-1]}\n')
                del providers[name]
        for shape in shapes:
            inputs = make_inputs(shape, DTYPES[dtype], device)
            calls = {
                name: partial(step, provider, inputs, mode)
                for name, provider in providers.items()
                if affordable(name, shape, device)
            }
            # The first round warms up.
            rounds = [{n: timer(call) for n, call in calls.items()} for _ in range(runs + 1)][1:]
            for name, call in calls.items():
                times = sorted(r[name] for r in rounds)
                ms = statistics.median(times)
                moved = io_bytes(inputs, mode)
                peak = sum(x.nbytes for x in inputs) + peak_bytes(device, call)
                yield dict(
                    provider=name, mode=mode, **shape._asdict(), dtype=dtype,
                    device=device_name(device), ms=round(ms, 4),
                    ms_p20=round(times[int(0.2 * (runs - 1))], 4),
                    ms_p80=round(times[int(0.8 * (runs - 1))], 4),
                    gb_s=round(moved / ms / 1e6, 2),
                    of_copy=round(moved / (ms / 1e3) / bandwidth, 4),
                    peak_over_io=round(peak / io_bytes(inputs, 'forward'), 2), runs=runs,
                    **describe_cpu(device), **origin(),
                )  # fmt: skip


def affordable(name: str, shape: Shape, device: str) -> bool:
    """Whether a call ends within a second or so: softmax attention is quadratic in T, and the
    loops over tokens wait for memory at each."""
    if name == 'sdpa':
        return (1e13 if device == 'cuda' else 1e9) > shape.B * shape.H * shape.T**2
    return name not in TOKEN_BY_TOKEN or shape.T <= 2**17


def plot(path: Path) -> None:
    """Time against T with a line per provider, one picture for each device, mode and dtype."""
    from matplotlib.figure import Figure  # measuring does without

    rows = read(path)
    setting = itemgetter('device', 'cpu', 'mode', 'dtype')
    for group in sorted({setting(row) for row in rows}):
        device, cpu, mode, dtype = group
        figure = Figure(figsize=(6, 4), layout='tight')
        axes = figure.subplots()
        same = [row for row in rows if setting(row) == group]
        for provider in sorted({r['provider'] for r in same}):
            points = sorted(
                (int(r['T']), float(r['ms'])) for r in same
                if r['provider'] == provider and (r['B'], r['H'], r['K']) == ('1', '3', '16')
            )  # fmt: skip
            axes.loglog(*zip(*points, strict=True), marker='o', label=provider)
        title = f'{mode}, {dtype}, 3 heads of 16/32\n{cpu or device}'
        axes.set(xlabel='tokens', ylabel='ms', title=title)
        axes.grid(which='both', alpha=0.3)
        axes.legend()
        machine = cpu.replace(' ', '-') or device.split()[0]
        target = path.with_name(f'{path.stem}-{mode}-{dtype}-{machine}.png'.lower())
        figure.savefig(target, dpi=120)
        sys.stdout.write(f'{target}\n')


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__, runs=20)
    parser.add_argument(
        '--providers', nargs='+', choices=BUILDERS,
        default=[name for name in BUILDERS if name not in SLOW_TO_BUILD],
    )  # fmt: skip
    parser.add_argument('--lengths', nargs='*', type=int, help='tokens of one image of 3 heads')
    parser.add_argument('--shapes', nargs='*', choices=SHAPES, help='all by default')
    parser.add_argument('--plot', action='store_true', help='only draw the rows of the file')
    parser.add_argument(
        '--keep-going', action='store_true', help='leave out a wrong provider instead of stopping'
    )
    args = parse_args(parser, argv, gpu_dtype='bfloat16')
    if args.plot:
        plot(args.csv)
        return
    torch.manual_seed(0)
    lengths = LENGTHS if args.lengths is None else args.lengths
    names = list(SHAPES) if args.shapes is None else args.shapes
    shapes = [SHAPES[name] for name in names] + [Shape(1, T, 3, 16, 32) for T in lengths]
    rows = measure(args.providers, shapes, args)
    args.left_out = []
    keep(args.csv, rows, KEY, shown=(*KEY[:-2], *MEASURED))
    if args.left_out:
        sys.exit('; '.join(args.left_out))


if __name__ == '__main__':
    main()
