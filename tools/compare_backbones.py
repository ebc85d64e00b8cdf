"""All backbones on the mini data set: parameters, multiply-adds, seconds per image, accuracy.

    python tools/compare_backbones.py                  # trains each, then a table, CSV and plot
    python tools/compare_backbones.py vir linglo       # only these; the others keep their rows
    python tools/compare_backbones.py --table          # prints and draws what the CSV holds

Each backbone trains Mask R-CNN with the same light heads from random weights by its config
`det/NAME_maskrcnn_mini.py`. Parameters and multiply-adds are those of the backbone alone and of the
whole model, for one image of 160×224. Seconds per image is the median time of the trained detector,
from pixels to masks. CPU seconds are those of the training with its evaluation, over all threads.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from bench_rows import device_name, merge, origin, read
from mmengine.config import Config

from mmvig.checkpoint import read as read_checkpoint
from mmvig.checkpoint import weights_of
from mmvig.cli.flops import build, count

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ('vig', 'vig-plain', 'vir', 'linglo')
SHAPE = (160, 224)
KEY = ('config', 'device')
COLUMNS = {
    'backbone': ('backbone', '{}'),
    'backbone_parameters': ('parameters', '{:,.0f}'),
    'backbone_macs': ('MACs', '{:,.0f}'),
    'parameters': ('with heads', '{:,.0f}'),
    'seconds_per_image': ('s / image', '{:.3f}'),
    'train_cpu_seconds': ('CPU s', '{:.0f}'),
    'bbox_mAP': ('box AP', '{:.3f}'),
    'segm_mAP': ('mask AP', '{:.3f}'),
}


def train(config: Path, work_dir: Path, options: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of a training, and what its evaluation found."""
    before, start = cpu_seconds(), time.monotonic()
    command = [sys.executable, ROOT / 'tools/train.py', config, '--work-dir', work_dir]
    if options:
        command += ['--cfg-options', *options]
    subprocess.run(command, check=True)
    seconds = dict(
        train_seconds=round(time.monotonic() - start, 1),
        train_cpu_seconds=round(cpu_seconds() - before, 1),
    )
    latest = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in latest.read_text().splitlines()]
    found = next(line for line in reversed(lines) if 'coco/bbox_mAP' in line)
    return seconds | {name: found[f'coco/{name}'] for name in ('bbox_mAP', 'segm_mAP')}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds_per_image(cfg: Config, checkpoint: Path, runs: int = 20) -> float:
    """Median time of the trained detector on one image of noise."""
    from mmdet.structures import DetDataSample

    model = build(cfg)
    model.load_state_dict(weights_of(read_checkpoint(str(checkpoint))))
    image = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8)
    meta = dict(img_shape=SHAPE, ori_shape=SHAPE, scale_factor=(1.0, 1.0), img_id=0)
    times = []
    for _ in range(runs + 1):
        sample = DetDataSample(metainfo=meta)
        start = time.perf_counter()
        with torch.no_grad():
            model.test_step({'inputs': [image], 'data_samples': [sample]})
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measure(name: str, work_dir: Path, options: list[str]) -> dict[str, object]:
    config = ROOT / f'configs/det/{name}_maskrcnn_mini.py'
    cfg = Config.fromfile(config)
    counts = count(cfg, SHAPE)
    backbone = counts['parts']['backbone']
    found = train(config, work_dir, options)
    checkpoint = Path((work_dir / 'last_checkpoint').read_text().strip())
    return dict(
        config=f'det/{name}_maskrcnn_mini',
        device=device_name('cpu'),
        backbone=cfg.model.backbone.type.removeprefix('mmvig.') + ' ' + cfg.model.backbone.arch,
        backbone_parameters=backbone['parameters'],
        backbone_macs=backbone['macs'],
        parameters=counts['parameters'],
        macs=counts['macs'],
        seconds_per_image=round(seconds_per_image(cfg, checkpoint), 4),
        **found,
        **origin(),
    )


def table(rows: list[dict[str, str]]) -> str:
    """A Markdown table of the rows."""
    lines = [
        '| ' + ' | '.join(title for title, _ in COLUMNS.values()) + ' |',
        '|---|' + '---:|' * (len(COLUMNS) - 1),
    ]
    for row in rows:
        cells = [
            form.format(row[name] if form == '{}' else float(row[name]))
            for name, (_, form) in COLUMNS.items()
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def plot(rows: list[dict[str, str]], target: Path) -> None:
    """Box AP against multiply-adds of the backbone."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for row in rows:
        x, y = float(row['backbone_macs']) / 1e9, float(row['bbox_mAP'])
        axes.scatter(x, y, s=float(row['backbone_parameters']) / 1e4, alpha=0.6)
        axes.annotate(
            row['backbone'], (x, y), xytext=(0, 12), textcoords='offset points', ha='center'
        )
    axes.set(
        xlabel='backbone, G multiply-adds at 160×224 (area: parameters)',
        ylabel='box AP',
        title='Mask R-CNN with light heads, mini set, random weights',
    )
    axes.margins(0.25)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(target, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(BACKBONES)}')
    parser.add_argument('--csv', type=Path, default=ROOT / 'benchmarks/backbones_mini.csv')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/compare'))
    parser.add_argument('--table', action='store_true', help='only print and draw the CSV')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='KEY=VALUE … of the trainings')
    args = parser.parse_args()
    if unknown := set(args.names) - set(BACKBONES):
        parser.error(f'expected names of {", ".join(BACKBONES)}; got {", ".join(sorted(unknown))}')
    for name in () if args.table else args.names or BACKBONES:
        row = measure(name, args.work_dir.resolve() / name, args.cfg_options)
        merge(args.csv, [row], KEY)
    rows = read(args.csv)
    sys.stdout.write(table(rows))
    plot(rows, args.csv.with_suffix('.png'))


if __name__ == '__main__':
    main()
