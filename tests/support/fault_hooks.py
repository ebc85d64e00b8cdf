"""Hooks by which trainings of the tests go wrong, or show what they computed."""

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


@HOOKS.register_module()
class Poison(Hook):
    """Before iteration `at`, counted from 1, sets an entry of a weight or of an image to NaN.

    Args:
        at: the iteration.
        weight: name of a parameter; without one, the last image of the batch is taken.
    """

    priority = 'VERY_HIGH'

    def __init__(self, at: int, weight: str | None = None) -> None:
        self.at, self.weight = at, weight

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 != self.at:
            return
        if self.weight:
            runner.model.get_parameter(self.weight).data.view(-1)[0] = float('nan')
        else:
            image = data_batch['inputs'][-1].float()
            image[0, 0, 0] = float('nan')
            data_batch['inputs'][-1] = image
