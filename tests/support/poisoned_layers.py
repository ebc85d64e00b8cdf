"""A hook that makes one number NaN in the middle of a training."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


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
