"""Mask R-CNN with ViG nano trained on the mini set: the accuracy that CPUs reach, and the time.

python -m benchmarks.gpu_day.mini_training --csv mini_training.csv
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.rows import device_name, keep, origin, read

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'vig_maskrcnn_mini'
METRICS = ('bbox_mAP', 'segm_mAP')
SMALL = (
    'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.dataset.indices=2',
    'val_dataloader.dataset.indices=1', 'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
)  # fmt: skip


def on_cpu() -> dict[str, str]:
    """The row that CPUs gave, to compare with."""
    rows = read(ROOT / 'benchmarks/results/mini_set_backbones.csv')
    return next(row for row in rows if row['config'] == f'det/{CONFIG}')


def train(work: Path, small: bool) -> dict:
    """Train in the folder `work`; metrics and seconds."""
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'mmvig', 'train', CONFIG, '--work-dir', str(work)]
    if small:
        command += ['--cfg-options', *SMALL]
    start = time.monotonic()
    subprocess.run(command, cwd=work, check=True)
    seconds = time.monotonic() - start
    logs = sorted(work.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    scores = next(line for line in reversed(lines) if 'coco/bbox_mAP' in line)
    return dict(seconds=round(seconds, 1)) | {name: scores[f'coco/{name}'] for name in METRICS}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--small', action='store_true', help='two images')
    args = parser.parse_args(argv)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    expected = {f'cpu_{name}': on_cpu()[name] for name in METRICS}
    result = train(args.csv.resolve().parent / 'mini_training', args.small)
    row = dict(config=CONFIG, device=device_name(device), **result, **expected) | origin()
    keep(args.csv, [row], ('config', 'device'), ('config', 'seconds', *METRICS, *expected))


if __name__ == '__main__':
    main()
