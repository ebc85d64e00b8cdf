"""Time and memory of whole backbones, side by side with the alternatives that users have.

    python -m benchmarks.backbone --csv benchmarks/results/backbone.csv          # everything
    python -m benchmarks.backbone --csv benchmarks/results/backbone.csv --plot   # draws the rows

Models are timed in turns within one run, so that noise of the machine affects all of them alike.
`ms` is the median, `vs_swin_t` the median over rounds of the ratio to Swin-T's time in the same
round: mmdet's, or torchvision's where that is the only one measured. `peak_mib` is the growth of
memory over one call, without the weights; a model that does not fit the GPU's memory at a size has
no row. For mmvig's models, `share_*` is the part of the forward time in the operator, convolutions,
linear layers and norms (torch's profiler).
"""

import argparse
import gc
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.models import BUILDERS, OURS, QUADRATIC, SWIN_T
from benchmarks.options import DTYPES, MODES, make_parser, parse_args
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name, keep, origin, read
from benchmarks.timing import Timer, allocator, peak_bytes

SIZES = ((224, 224), (512, 512), (800, 1344), (1024, 1024), (2048, 2048))
KEY = ('model', 'mode', 'batch', 'height', 'width', 'dtype', 'device', 'cpu', 'threads',
       'allocator')  # fmt: skip
PARTS = {
    'op': ('mmvig::bi_gla_native', 'mmvig::bi_gla_chunked', 'mmvig::bi_gla_triton'),
    'conv': ('aten::conv2d',),
    'linear': ('aten::linear', 'mkldnn::_linear_pointwise'),
    'norm': ('aten::layer_norm', 'aten::rms_norm'),
}


def step(model: nn.Module, images: Tensor, mode: str, dtype: torch.dtype) -> None:
    """One forward pass, with the backward pass if `mode` says so."""
    device = images.device.type
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        if mode == 'forward':
            with torch.no_grad():
                model(images)
            return
        loss = sum(x.float().mean() for x in model(images))
    loss.backward()
    model.zero_grad(set_to_none=True)


def time_shares(model: nn.Module, images: Tensor, dtype: torch.dtype) -> dict[str, float]:
    """Parts of one forward pass, as fractions of its time."""
    device = 'device' if images.is_cuda else 'cpu'
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA][: 1 + images.is_cuda]
    with profile(activities=activities) as profiler:
        step(model, images, 'forward', dtype)
    events = profiler.key_averages()
    total = sum(getattr(event, f'self_{device}_time_total') for event in events)
    times = {event.key: getattr(event, f'{device}_time_total') for event in events}
    return {
        f'share_{part}': round(sum(times.get(name, 0) for name in names) / total, 4)
        for part, names in PARTS.items()
    }


def measure(args: argparse.Namespace) -> Iterator[dict]:
    """A row for each model, size and mode."""
    built = {name: BUILDERS[name]() for name in args.models}
    models = {name: model.to(args.device) for name, model in built.items() if model is not None}
    for model in models.values():
        model.train()  # not chained: some models' train returns nothing
    timer = Timer(args.device)
    for height, width in args.sizes:
        images = torch.randn(args.batch, 3, height, width, device=args.device)
        affordable = args.device == 'cuda' or height * width <= 1024**2
        timed = {n: model for n, model in models.items() if affordable or n not in QUADRATIC}
        for mode in args.modes:
            yield from measure_mode(timed, images, mode, timer, args)
            gc.collect()


def measure_mode(
    models: dict[str, nn.Module],
    images: Tensor,
    mode: str,
    timer: Timer,
    args: argparse.Namespace,
) -> Iterator[dict]:
    """A row for each model, timed in turns."""
    dtype = DTYPES[args.dtype]
    calls = {
        name: call
        for name, model in models.items()
        if fits(name, call := partial(step, model, images, mode, dtype))  # which also warms up
    }
    rounds = [{name: timer(call) for name, call in calls.items()} for _ in range(args.runs)]
    swin = next((name for name in SWIN_T if name in calls), None)
    for name, call in calls.items():
        ms = statistics.median(r[name] for r in rounds)
        ratio = round(statistics.median(r[name] / r[swin] for r in rounds), 3) if swin else ''
        shares = dict.fromkeys((f'share_{part}' for part in PARTS), '')
        if mode == 'forward' and name in OURS:
            shares = time_shares(models[name], images, dtype)
        row = dict(
            model=name, mode=mode, batch=args.batch, height=images.shape[2], width=images.shape[3],
            dtype=args.dtype, device=device_name(args.device), threads=torch.get_num_threads(),
            allocator=allocator(), ms=round(ms, 2),
            ns_per_pixel=round(1e6 * ms / images[:, 0].numel(), 2), vs_swin_t=ratio,
            peak_mib=round(peak_bytes(args.device, call) / 2**20, 1), **shares, runs=args.runs,
        )  # fmt: skip
        yield row | describe_cpu(args.device) | origin()


def fits(name: str, call: Callable[[], None]) -> bool:
    """Run once; False, and a line on stderr, where the GPU's memory is too small for it."""
    try:
        call()
    except torch.cuda.OutOfMemoryError as error:
        sys.stderr.write(f'left out: {name}: {str(error).splitlines()[0]}\n')
        torch.cuda.empty_cache()
        return False
    return True


def plot(path: Path) -> None:
    """Time and memory against pixels, with the slope of each curve beside its name."""
    from matplotlib.figure import Figure  # measuring does without

    rows = read(path)
    setting = itemgetter('device', 'cpu', 'mode', 'dtype', 'batch', 'threads', 'allocator')
    for group in sorted({setting(row) for row in rows}):
        device, cpu, mode, dtype, batch, threads, source = group
        figure = Figure(figsize=(11, 4.5), layout='tight')
        same = [row for row in rows if setting(row) == group]
        for axes, column, label in zip(
            figure.subplots(1, 2), ('ms', 'peak_mib'), ('ms', 'MiB'), strict=True
        ):
            draw_curves(axes, same, column)
            axes.set(xlabel='pixels', ylabel=label)
        figure.suptitle(
            f'{mode}, {dtype}, batch {batch}, {cpu or device}, {threads} threads, {source} (slopes)'
        )
        machine = cpu.replace(' ', '-') or device.split()[0]
        name = f'{path.stem}-{mode}-{dtype}-{machine}-{source}.png'.lower()
        target = path.with_name(name)
        figure.savefig(target, dpi=110)
        sys.stdout.write(f'{target}\n')


def draw_curves(axes, rows: list[dict[str, str]], column: str) -> None:
    """One column against pixels, a curve for each model, on logarithmic axes."""
    for name in BUILDERS:
        points = sorted(
            (int(r['height']) * int(r['width']), float(r[column]))
            for r in rows if r['model'] == name
        )  # fmt: skip
        if len(points) > 1:
            style = dict(linewidth=2.5) if name in OURS else dict(linestyle='--')
            label = f'{name} ({slope(points):.2f})'
            axes.loglog(*zip(*points, strict=True), marker='o', label=label, **style)
    axes.grid(which='both', alpha=0.3)
    axes.legend(fontsize=8)


def slope(points: list[tuple[int, float]]) -> float:
    """Exponent of a power law through the points: least squares of the logarithms."""
    xs, ys = ([math.log(max(p[i], 1e-9)) for p in points] for i in (0, 1))
    return statistics.linear_regression(xs, ys).slope


def parse_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition('x')
    return int(height), int(width)


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__, runs=5)
    parser.add_argument('--models', nargs='+', choices=BUILDERS, default=list(BUILDERS))
    parser.add_argument('--sizes', nargs='+', type=parse_size, default=SIZES, metavar='HxW')
    parser.add_argument('--modes', nargs='+', choices=MODES, default=MODES)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--plot', action='store_true', help='only draw the rows of the file')
    args = parse_args(parser, argv, gpu_dtype='bfloat16')
    if args.plot:
        plot(args.csv)
        return
    torch.manual_seed(0)
    shown = ('model', 'mode', 'height', 'width', 'ms', 'vs_swin_t', 'peak_mib', 'share_op')
    keep(args.csv, measure(args), KEY, shown)


if __name__ == '__main__':
    main()
