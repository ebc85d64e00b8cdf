"""Real images at several sizes: what ViG nano, Swin and ResNet-18 gain from more pixels, and pay.

    python -m benchmarks.real_scales train --jobs 2    # what the CSV lacks
    python -m benchmarks.real_scales table             # prints and draws the rows of the CSV

Nuclei at 1, 2 and 3 times the size of their files, by the heads, the schedule and the steps of
`benchmarks.real_images` and the learning rates of its search. A crop of the training shows as much
of an image at each scale; anchors keep their pixels. All trainings take about 2 CPU hours, and may
be stopped at any moment as those may. Seconds are CPU time of one thread: of a step with its data
and its heads, and of an image of the validation from its pixels to its masks.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.real_images import KEY, ROOT, SETS, Job, read_rows, say, train_and_keep
from benchmarks.real_report import Row, chosen_rate, last, per_step, select

BACKBONES = ('vig', 'swin', 'resnet-18')
SCALES = (1.0, 2.0, 3.0)
SEARCHED = ROOT / 'benchmarks/results/real_images.csv'
COLUMNS = ('scale', 'backbone', 'CPU s / step', 'CPU s / image', 'CPU min', 'box AP', 'mask AP')


def plan(args: argparse.Namespace) -> list[Job]:
    """The trainings that are asked for, also those that were done; the cheapest first."""
    searched = read_rows(SEARCHED)
    length = args.iterations or SETS[args.set].iterations
    rates = {name: args.rate or chosen_rate(searched, args.set, name) for name in args.backbones}
    return [
        Job('scales', args.set, name, args.seed, rates[name], length, scale)
        for scale in sorted(args.scales)
        for name in args.backbones
    ]


def measure(args: argparse.Namespace) -> list[Job]:
    """Train what is missing and keep its rows; the jobs that failed."""
    rows = read_rows(args.csv)
    missing = [job for job in plan(args) if not job.is_done(rows)]
    say(f'{len(missing)} trainings are missing')
    return train_and_keep(missing, args, (*KEY, 'scale'))


def table(rows: Sequence[Row]) -> str:
    """Markdown, a line for each training."""
    lines = [COLUMNS, ('---:', '---', *['---:'] * (len(COLUMNS) - 2))]
    for row in sorted(
        last(rows), key=lambda row: (float(row['scale']), BACKBONES.index(row['backbone']))
    ):
        lines.append(
            (
                f'{float(row["scale"]):g}×', row['backbone'], f'{per_step(row):.2f}',
                f'{float(row["cpu_seconds_of_an_image"]):.2f}',
                f'{float(row["cpu_seconds"]) / 60:.1f}',
                *(f'{float(row[name]):.3f}' for name in ('bbox_mAP', 'segm_mAP') if row[name]),
            )
        )  # fmt: skip
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def draw(rows: Sequence[Row], path: Path) -> None:
    """AP against CPU minutes of training and CPU seconds of an image, a line for each backbone."""
    figure = Figure(figsize=(10, 4), layout='tight')
    times = {
        'CPU minutes of training, one thread': lambda row: float(row['cpu_seconds']) / 60,
        'CPU seconds of an image, one thread': lambda row: float(row['cpu_seconds_of_an_image']),
    }
    for axes, (label, value) in zip(figure.subplots(1, 2), times.items(), strict=True):
        for name in dict.fromkeys(row['backbone'] for row in rows):
            found = last(select(rows, backbone=name))
            found.sort(key=lambda row: float(row['scale']))
            aps = [float(row['bbox_mAP']) for row in found]
            axes.plot([value(row) for row in found], aps, marker='o', label=name)
            for row, ap in zip(found, aps, strict=True):
                axes.annotate(f'{float(row["scale"]):g}×', (value(row), ap))
        axes.set(xlabel=label, ylabel='box AP')
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=['train', 'table'])
    parser.add_argument('--set', choices=SETS, default='nuclei')
    parser.add_argument('--backbones', nargs='+', choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument('--scales', nargs='+', type=float, default=list(SCALES),
                        help="of images over their files' own size")  # fmt: skip
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--rate', type=float, help='in place of the best of the search')
    parser.add_argument('--iterations', type=int, help='in place of those of real_images')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    parser.add_argument('--work', type=Path, default=Path('work_dirs/real-images'))
    parser.add_argument('--csv', type=Path, default=ROOT / 'benchmarks/results/real_scales.csv')
    args = parser.parse_args(argv)
    args.work = args.work.resolve()
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    failed = measure(args) if args.what == 'train' else []
    rows = read_rows(args.csv)
    if last(rows):
        say(table(rows))
        draw(rows, args.csv.with_suffix('.png'))
    if failed:
        sys.exit(f'{len(failed)} trainings failed')


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the trainings too
    main()
