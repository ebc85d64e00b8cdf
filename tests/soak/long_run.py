"""A long training on images of ten sizes: memory, held tensors and open files stay as they are.

python -m tests.soak.long_run --steps 2000 --backbone vig
"""

import argparse
import gc
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import mmvig.cli.train
from mmvig.datasets.shapes import ensure_mini

from .memory import SIZES
from .trainings import ROOT

WARM_UP = 0.3  # share of the steps in which the allocator finds its size
ALLOWED = 512  # bytes a step; mmengine keeps every logged number, about 200 bytes a step
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['tests.soak.memory'])
custom_hooks = [dict(type='MeasureProcess')]
model = dict(data_preprocessor=dict(size=None, size_divisor=1),
             decode_head=dict(channels=16), auxiliary_head=dict(channels=16))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='ResizeInTurn', batch_size=2),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=2, dataset=dict(data_root={data!r}, pipeline=train_pipeline))
train_cfg = dict(max_iters={steps}, val_interval=1000000)
val_dataloader = dict(dataset=dict(data_root={data!r}, indices=1))
param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=1e-4))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval={interval}))
"""


class Growth(NamedTuple):
    """What a training needed more and more of, after its warm-up."""

    slope: float  # resident bytes a step
    least: float  # the slope's lower bound, at 99 %
    tensors: list[int]  # held after each block
    files: list[int]  # open after each block

    def findings(self, allowed: float) -> list[str]:
        """What grew, of memory more than `allowed` bytes a step."""
        growing = []
        if self.least > allowed:
            growing.append(f'{self.slope:.0f} bytes a step, at least {self.least:.0f}')
        if len(set(self.tensors)) > 1:
            growing.append(f'tensors: {self.tensors}')
        if len(set(self.files)) > 1:
            growing.append(f'open files: {self.files}')
        return growing


def median_slope(steps: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Median of the slopes between all pairs, and its lower bound at 99 % (Sen 1968).

    An allocator grows in single jumps, which the median does not see, as it would a leak.
    """
    count = len(values)
    i, j = np.triu_indices(count, 1)
    slopes = np.sort((values[j] - values[i]) / (steps[j] - steps[i]))
    # Kendall's: the deviation of the number of rising pairs less that of falling ones.
    deviation = (count * (count - 1) * (2 * count + 5) / 18) ** 0.5
    rank = int((len(slopes) - 2.33 * deviation) / 2)
    return float(np.median(slopes)), float(slopes[max(rank, 0)])


def judge(measured: dict[str, list[int]]) -> Growth:
    """From blocks of steps, each with every size of image once."""
    block = len(SIZES)
    means = np.array(measured['resident']).reshape(-1, block).mean(axis=1)
    first = int(len(means) * WARM_UP)
    slope, least = median_slope(block * np.arange(first, len(means)), means[first:])
    kept = slice(first, None)
    return Growth(slope, least, measured['tensors'][kept],
                  measured['files'][kept])  # fmt: skip


def run(backbone: str, steps: int, place: Path, data: Path) -> Growth:
    """`python -m mmvig train` for `steps`, which is a multiple of the number of sizes."""
    ensure_mini(data)
    config = place / f'{backbone}.py'
    base = ROOT / f'configs/seg/{backbone}_upernet_mini.py'
    config.write_text(
        CONFIG.format(base=str(base), data=f'{data}/', steps=steps, interval=max(steps // 20, 100))
    )
    mmvig.cli.train.main([str(config), '--work-dir', str(place / backbone)])
    return judge(json.loads((place / backbone / 'memory.json').read_text()))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--backbone', default='vig', help='as in configs/seg/*_upernet_mini.py')
    options.add_argument('--steps', type=int, default=2000)
    options.add_argument('--data', type=Path, help='the mini set; drawn if it is missing')
    options.add_argument('--allowed', type=int, default=ALLOWED, help='bytes a step')
    args = options.parse_args()
    torch.set_num_threads(1)
    gc.freeze()  # what is imported is none of the training's
    begin = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix='mmvig-long-'))
    growth = run(args.backbone, args.steps, place, args.data or place / 'mini')
    findings = growth.findings(args.allowed)
    sys.stdout.write(
        f'{args.backbone}: {args.steps} steps at {len(SIZES)} sizes, after the warm-up '
        f'{growth.slope:.0f} bytes a step, at least {growth.least:.0f}, '
        f'{growth.tensors[-1]} tensors, {growth.files[-1]} open files; '
        f'{time.monotonic() - begin:.0f} s\n'
    )
    if findings:
        sys.exit(f'grew: {"; ".join(findings)} (measured: {place})')
    shutil.rmtree(place)


if __name__ == '__main__':
    main()
