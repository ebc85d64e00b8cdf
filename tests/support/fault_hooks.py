"""Hooks for tests of several processes."""

import os
import signal

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DumpWeights(Hook):
    """Saves `rank{n}.pth` into the work dir."""

    def after_train(self, runner) -> None:
        model = getattr(runner.model, 'module', runner.model)
        torch.save(model.state_dict(), f'{runner.work_dir}/rank{get_rank()}.pth')


@HOOKS.register_module()
class DumpLosses(Hook):
    """Saves this process's loss of every iteration as `losses{rank}.pth` in the work dir."""

    def before_train(self, runner) -> None:
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append(outputs['loss'].detach().clone())

    def after_train(self, runner) -> None:
        torch.save(torch.stack(self.losses), f'{runner.work_dir}/losses{get_rank()}.pth')


@HOOKS.register_module()
class Strike(Hook):
    """Sends a signal to the process of a rank before its n-th iteration (from 0) of this run."""

    def __init__(self, signal_name: str, rank: int, iteration: int) -> None:
        self.signal = getattr(signal, signal_name)
        self.rank = rank
        self.left = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if get_rank() == self.rank and self.left == 0:
            os.kill(os.getpid(), self.signal)
        self.left -= 1
