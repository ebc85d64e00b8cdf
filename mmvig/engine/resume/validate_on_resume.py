"""The validation that was due when a training stopped."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmvig.registry import HOOKS


# Configs that version 0.1 dumped name the hook by its first name.
@HOOKS.register_module(name=['ValidateOnResumeHook', 'DueValidationHook'])
class ValidateOnResumeHook(Hook):
    """Validates on resuming from a checkpoint that was written just before a validation.

    mmengine goes on with the next iteration: what follows from the metrics, a best checkpoint or a
    learning rate that waits for a plateau, is then lost, and if the checkpoint was the last one the
    training ends without metrics. Only a checkpoint that was written again after its validation, as
    the best one, needs none.
    """

    priority = 'LOWEST'  # all other hooks are ready for the validation

    def before_train(self, runner) -> None:
        if runner.iter > 0 and runner.val_loop is not None and self._is_due(runner):
            runner.logger.info(f'validating what was trained in {runner.iter} iterations')
            runner.val_loop.run()

    def before_val_epoch(self, runner) -> None:
        runner.message_hub.update_info('last_validation', runner.iter)

    def _is_due(self, runner) -> bool:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            done, last = loop.epoch, loop.max_epochs
        elif isinstance(loop, IterBasedTrainLoop):
            done, last = loop.iter, loop.max_iters
        else:
            return False
        loop._decide_current_val_interval()
        due = done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)
        return due and runner.message_hub.get_info('last_validation') != runner.iter
