"""A training of milliseconds in which everything draws random numbers, stopped at will."""

import os
import random
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn import functional as F

from mmvig.engine.resume.select import newest_checkpoint

from .cli import forget_runs

LOOPS = {
    'iterations': dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, val_interval=4),
        sampler=dict(type='InfiniteSampler', shuffle=True),
        checkpoint=dict(by_epoch=False, interval=2),
    ),
    'epochs': dict(
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=2),
        sampler=dict(type='DefaultSampler', shuffle=True),
        checkpoint=dict(interval=1),
    ),
}


class Stopped(BaseException):
    """Nothing catches it but the test."""


class Samples:
    """Seven samples, with a number of each generator added at every reading."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict:
        drawn = [random.random(), np.random.rand(), torch.rand(()).item()]
        return dict(inputs=index + torch.tensor(drawn))


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, inputs: list[Tensor], mode: str = 'tensor'):
        x = self.linear(F.dropout(torch.stack(inputs), 0.5, self.training))
        return dict(loss=(x - 1).square().mean()) if mode == 'loss' else list(x)


class Mean(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [sample.mean().item() for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'mean': float(np.mean(results))}


def run(kind: str, work_dir: Path, hook: str = 'mmvig.ResumableCheckpointHook', **dataloader):
    """Train from the newest checkpoint in `work_dir`, or from the start; returns the runner."""
    loop = LOOPS[kind]
    forget_runs()
    torch.manual_seed(0)  # of the weights
    newest, _ = newest_checkpoint(str(work_dir))
    data = dict(dataset=Samples(), batch_size=2, num_workers=0, sampler=loop['sampler'])
    by_epoch = 'max_epochs' in loop['train_cfg']
    logger = dict(type='LoggerHook', interval=1, log_metric_by_epoch=by_epoch)
    checkpoint = dict(type=hook, max_keep_ckpts=1, save_best='mean', rule='greater')
    runner = Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=data | dataloader,
        val_dataloader=data | dict(sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=Evaluator(Mean()),
        train_cfg=loop['train_cfg'],
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=9),
        default_hooks=dict(checkpoint=checkpoint | loop['checkpoint'], logger=logger),
        custom_hooks=[dict(type='mmvig.ValidateOnResumeHook')],
        randomness=dict(seed=0),
        resume=newest is not None,
        load_from=newest and str(newest),
        log_level='ERROR',
        experiment_name=f'{work_dir.name}{random.SystemRandom().random()}',
    )
    runner.train()
    return runner


class StopAt:
    """Stops the process's training before the n-th change that it makes to its files."""

    CHANGES = ('replace', 'remove', 'fsync', 'unlink')

    def __init__(self, monkeypatch, n: int) -> None:
        self.left = n
        for name in self.CHANGES:
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def _counting(self, change):
        def counted(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                raise Stopped
            return change(*args, **kwargs)

        return counted
