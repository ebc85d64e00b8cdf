"""Time and memory of whole backbones, side by side with what users would take instead.

    python -m benchmarks.backbone --csv benchmarks/results/backbone.csv          # all models and sizes
    python -m benchmarks.backbone --csv benchmarks/results/backbone.csv --plot   # draws what it holds

Models are timed in turns within one run, so that a noisy machine strikes all alike; `ms` is the
median, `vs_swin_t` the median over rounds of the ratio to Swin-T's time of the same round.
`peak_mib` is the growth of memory over one call, without the weights. On our models, `share_*` is
the part of the forward time in the operator, convolutions, linear layers and norms (torch's
profiler).
"""

import argparse
import gc
import math
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.models import BUILDERS, OURS, QUADRATIC
from benchmarks.rows import device_name, merge, origin, read
from benchmarks.timing import Timer, allocator, peak_bytes

SIZES = ((224, 224), (512, 512), (800, 1344), (1024, 1024), (2048, 2048))
KEY = ('model', 'mode', 'batch', 'height', 'width', 'dtype', 'device', 'threads', 'allocator')
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
PARTS = {
    'op': ('mmvig::bi_gla_native', 'mmvig::bi_gla_chunked', 'mmvig::bi_gla_triton'),
    'conv': ('aten::conv2d',),
    'linear': ('aten::linear', 'mkldnn::_linear_pointwise'),
    'norm': ('aten::layer_norm', 'aten::rms_norm'),
}


def step(model: nn.Module, images: Tensor, mode: str, dtype: torch.dtype) -> None:
    device = images.device.type
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        if mode == 'forward':
            with torch.no_grad():
                model(images)
            return
        loss = sum(x.float().mean() for x in model(images))
    loss.backward()
    model.zero_grad(set_to_none=True)


def shares(model: nn.Module, images: Tensor, dtype: torch.dtype) -> dict[str, float]:
    """Parts of one forward pass, as fractions of its time."""
    cuda = images.is_cuda
    activities = [ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]
    with profile(activities=[ProfilerActivity.CPU, *activities][-1 - cuda :]) as profiler:
        step(model, images, 'forward', dtype)
    events = profiler.key_averages()
    field = 'device_time_total' if cuda else 'cpu_time_total'
    own = 'self_device_time_total' if cuda else 'self_cpu_time_total'
    total = sum(getattr(event, own) for event in events)
    spent = {event.key: getattr(event, field) for event in events}
    return {
        f'share_{part}': round(sum(spent.get(name, 0) for name in names) / total, 4)
        for part, names in PARTS.items()
    }


def measure(args: argparse.Namespace) -> Iterator[dict]:
    models = {}
    for name in args.models:
        if (model := BUILDERS[name]()) is not None:
            model.to(args.device).train()
            models[name] = model
    timer, dtype = Timer(args.device), DTYPES[args.dtype]
    for height, width in args.sizes:
        images = torch.randn(args.batch, 3, height, width, device=args.device)
        able = {
            name: model for name, model in models.items()
            if name not in QUADRATIC or args.device == 'cuda' or height * width <= 1024**2
        }  # fmt: skip
        for mode in args.modes:
            yield from _rows(able, images, mode, dtype, timer, args)
            gc.collect()


def _rows(models: dict, images: Tensor, mode: str, dtype, timer: Timer, args) -> Iterator[dict]:
    calls = {name: partial(step, m, images, mode, dtype) for name, m in models.items()}
    rounds = [{name: timer(call) for name, call in calls.items()} for _ in range(args.runs + 1)][1:]
    for name, call in calls.items():
        times = [r[name] for r in rounds]
        ratio = statistics.median(r[name] / r['swin-t'] for r in rounds) if 'swin-t' in calls else 0
        measured = mode == 'forward' and name in OURS
        parts = shares(models[name], images, dtype) if measured else {}
        yield dict(
            model=name, mode=mode, batch=args.batch, height=images.shape[2], width=images.shape[3],
            dtype=args.dtype, device=device_name(args.device), threads=torch.get_num_threads(),
            allocator=allocator(), ms=round(statistics.median(times), 2),
            ns_per_pixel=round(1e6 * statistics.median(times) / images[:, 0].numel(), 2),
            vs_swin_t=round(ratio, 3) if ratio else '',
            peak_mib=round(peak_bytes(args.device, call) / 2**20, 1),
            **{f'share_{part}': parts.get(f'share_{part}', '') for part in PARTS},
            runs=args.runs, **{k: v for k, v in origin().items() if k != 'threads'},
        )  # fmt: skip


def plot(path: Path) -> None:
    """Time and memory against pixels, log-log; the slope of each curve stands at its name."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    rows = read(path)
    setting = itemgetter('device', 'mode', 'dtype', 'batch', 'threads', 'allocator')
    for group in sorted({setting(row) for row in rows}):
        device, mode, dtype, batch, threads, source = group
        figure, both = pyplot.subplots(1, 2, figsize=(11, 4.5))
        same = [row for row in rows if setting(row) == group]
        for axes, column, label in zip(both, ('ms', 'peak_mib'), ('ms', 'MiB'), strict=True):
            for name in BUILDERS:
                points = sorted(
                    (int(r['height']) * int(r['width']), float(r[column]))
                    for r in same if r['model'] == name
                )  # fmt: skip
                if len(points) > 1:
                    style = dict(linewidth=2.5) if name in OURS else dict(linestyle='--')
                    text = f'{name} ({slope(points):.2f})'
                    axes.loglog(*zip(*points, strict=True), marker='o', label=text, **style)
            axes.set(xlabel='pixels', ylabel=label)
            axes.grid(which='both', alpha=0.3)
            axes.legend(fontsize=8)
        figure.suptitle(
            f'{mode}, {dtype}, batch {batch}, {device}, {threads} threads, {source} (slopes)'
        )
        figure.tight_layout()
        name = f'{path.stem}-{mode}-{dtype}-{device.split()[0]}-{source}.png'.lower()
        target = path.with_name(name)
        figure.savefig(target, dpi=110)
        sys.stdout.write(f'{target}\n')


def slope(points: list[tuple[int, float]]) -> float:
    """Exponent of a power law through the points: least squares of the logarithms."""
    xs, ys = ([math.log(max(p[i], 1e-9)) for p in points] for i in (0, 1))
    return statistics.linear_regression(xs, ys).slope


def size(text: str) -> tuple[int, int]:
    height, _, width = text.partition('x')
    return int(height), int(width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--models', nargs='+', choices=BUILDERS, default=list(BUILDERS))
    parser.add_argument('--sizes', nargs='+', type=size, default=SIZES, metavar='HEIGHTxWIDTH')
    modes = ('forward', 'forward+backward')
    parser.add_argument('--modes', nargs='+', choices=modes, default=modes)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--dtype', choices=DTYPES, default=None, help='bfloat16 on a GPU')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--plot', action='store_true', help='only draw what the file holds')
    args = parser.parse_args()
    if args.plot:
        plot(args.csv)
        return
    args.dtype = args.dtype or ('bfloat16' if args.device == 'cuda' else 'float32')
    torch.manual_seed(0)
    rows = []
    shown = ('model', 'mode', 'height', 'width', 'ms', 'vs_swin_t', 'peak_mib', 'share_op')
    for row in measure(args):
        rows.append(row)
        sys.stdout.write('  '.join(f'{key} {row[key]}' for key in shown) + '\n')
        sys.stdout.flush()
        merge(args.csv, rows, KEY)


if __name__ == '__main__':
    main()
