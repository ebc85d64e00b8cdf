"""All backbones on the mini data set: parameters, multiply-adds, seconds per image, accuracy.

    python -m benchmarks.mini_set                  # trains all; writes a table, CSV and plot
    python -m benchmarks.mini_set vir linglo       # trains these; the others keep their rows
    python -m benchmarks.mini_set --reuse          # counts and times finished trainings again
    python -m benchmarks.mini_set --table          # prints and draws the rows of the CSV

Each backbone trains Mask R-CNN with the same light heads, from random weights, by its config
`det/NAME_maskrcnn_mini.py`. Parameters and multiply-adds are those of the backbone alone and of the
whole model, for one image of 160×224. Seconds are CPU time over all threads, which other work on
the machine hardly changes. Per image, they are the median of the trained detector over validation
images, from pixels to masks, with the detectors in turns; for training they include its evaluation.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import nn

from benchmarks.rows import device_name, merge, origin, read
from mmvig.checkpoint import read as read_checkpoint
from mmvig.checkpoint import weights_of
from mmvig.engine.build import build_model
from mmvig.engine.flops import count_flops

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ('vig', 'vig-plain', 'vir', 'linglo')
SHAPE = (160, 224)
RUNS = 31
KEY = ('config', 'device')
COLUMNS = {
    'backbone': ('backbone', '{}'),
    'backbone_parameters': ('parameters', '{:,.0f}'),
    'backbone_macs': ('MACs', '{:,.0f}'),
    'parameters': ('with heads', '{:,.0f}'),
    'cpu_seconds_per_image': ('CPU s / image', '{:.3f}'),
    'train_cpu_seconds': ('CPU s of training', '{:.0f}'),
    'bbox_mAP': ('box AP', '{:.3f}'),
    'segm_mAP': ('mask AP', '{:.3f}'),
}


def train(config: Path, work_dir: Path, options: list[str], reuse: bool) -> dict[str, float]:
    """Wall and CPU seconds of a training, and the results of its evaluation."""
    summary = work_dir / 'training.json'
    if reuse and summary.is_file():
        return json.loads(summary.read_text())
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
    metrics = next(line for line in reversed(lines) if 'coco/bbox_mAP' in line)
    results = seconds | {name: metrics[f'coco/{name}'] for name in ('bbox_mAP', 'segm_mAP')}
    summary.write_text(json.dumps(results))
    return results


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def load(cfg: Config, work_dir: Path) -> nn.Module:
    """The detector with the weights of its last checkpoint."""
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    model = build_model(cfg)
    model.load_state_dict(weights_of(read_checkpoint(checkpoint)))
    return model


def validation_images(cfg: Config) -> list[torch.Tensor]:
    """The first `RUNS` images that the trainings were evaluated on."""
    dataset = cfg.val_dataloader.dataset
    paths = sorted(Path(dataset.data_root, dataset.data_prefix.img).iterdir())[:RUNS]
    return [torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1) for path in paths]


def seconds(detector: nn.Module, image: torch.Tensor) -> float:
    """CPU time of one image."""
    size = image.shape[1:]
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
    batch = {'inputs': [image], 'data_samples': [DetDataSample(metainfo=meta)]}
    start = time.process_time()
    with torch.no_grad():
        detector.test_step(batch)
    return time.process_time() - start


def measure(names: list[str], work_dir: Path, options: list[str], reuse: bool) -> list[dict]:
    """A row for each backbone."""
    rows, detectors = [], []
    for name in names:
        config = ROOT / f'configs/det/{name}_maskrcnn_mini.py'
        cfg = Config.fromfile(config)
        results = train(config, work_dir / name, options, reuse)
        detectors.append(load(cfg, work_dir / name))
        counts = count_flops(cfg, SHAPE)
        part, backbone = counts['parts']['backbone'], cfg.model.backbone
        rows.append(
            dict(
                config=f'det/{config.stem}',
                device=device_name('cpu'),
                backbone=f'{backbone.type.removeprefix("mmvig.")} {backbone.arch}',
                backbone_parameters=part['parameters'],
                backbone_macs=part['macs'],
                parameters=counts['parameters'],
                macs=counts['macs'],
                **results,
                **origin(),
            )
        )
    images = validation_images(cfg)
    rounds = [[seconds(detector, image) for detector in detectors] for image in images][1:]
    for row, times in zip(rows, zip(*rounds, strict=True), strict=True):
        row['cpu_seconds_per_image'] = round(statistics.median(times), 4)
    return rows


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
    figure = Figure(figsize=(6, 4), layout='tight')
    axes = figure.subplots()
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
    figure.savefig(target, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(BACKBONES)}')
    parser.add_argument(
        '--csv', type=Path, default=ROOT / 'benchmarks/results/mini_set_backbones.csv'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/compare'))
    parser.add_argument('--reuse', action='store_true', help='do not repeat finished trainings')
    parser.add_argument('--table', action='store_true', help='only print and draw the CSV')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='KEY=VALUE … of the trainings')
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(BACKBONES):
        parser.error(f'expected names of {", ".join(BACKBONES)}; got {", ".join(sorted(unknown))}')
    if not args.table:
        names = args.names or list(BACKBONES)
        merge(args.csv, measure(names, args.work_dir.resolve(), args.cfg_options, args.reuse), KEY)
    rows = read(args.csv)
    sys.stdout.write(table(rows))
    plot(rows, args.csv.with_suffix('.png'))


if __name__ == '__main__':
    main()
