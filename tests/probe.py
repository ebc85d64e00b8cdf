"""A hook for tests of several processes: writes each one's weights when training ends."""

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
