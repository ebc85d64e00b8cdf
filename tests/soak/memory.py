"""Measurements of a long training's own process, and images of another size at every step."""

import gc
import json
import os
import random
from pathlib import Path

import torch
from mmcv.transforms import Resize
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS

PAGE = os.sysconf('SC_PAGE_SIZE')
SIZES = [(width, height) for width in (32, 49, 64, 81, 96) for height in (48, 65)]


@TRANSFORMS.register_module()
class ResizeInTurn(Resize):
    """Every size of `SIZES` once, in another order each time; so blocks of steps are alike.

    Args:
        batch_size (int): Number of images that come in one size.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__(scale=SIZES[0])
        self._batch_size = batch_size
        self._left = []
        self._order = random.Random(0)

    def transform(self, results: dict) -> dict:
        if not self._left:
            sizes = self._order.sample(SIZES, len(SIZES))
            self._left = [size for size in sizes for _ in range(self._batch_size)]
        self.scale = self._left.pop()
        return super().transform(results)


@HOOKS.register_module()
class MeasureProcess(Hook):
    """Writes `memory.json`: resident bytes by step, open files and live tensors by block."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.measured = {'resident': [], 'files': [], 'tensors': []}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        resident = int(Path('/proc/self/statm').read_text().split()[1]) * PAGE
        self.measured['resident'].append(resident)
        if len(self.measured['resident']) % len(SIZES) == 0:
            gc.collect()
            held = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
            self.measured['tensors'].append(held)
            self.measured['files'].append(len(os.listdir('/proc/self/fd')))

    def after_train(self, runner) -> None:
        Path(runner.work_dir, 'memory.json').write_text(json.dumps(self.measured))
