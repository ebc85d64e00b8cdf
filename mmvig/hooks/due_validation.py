"""The validation that a killed training still owes."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmvig import whole_file
from mmvig.registry import HOOKS


@HOOKS.register_module()
class DueValidationHook(Hook):
    """Validates on resuming where the training stopped between a checkpoint and its validation.

    mmengine goes on with the next iteration, and where the checkpoint was the last one it ends
    without metrics. `WORK_DIR/last_validation` holds the iteration of the last one that ended.
    """

    priority = 'LOWEST'  # all other hooks are ready for the validation

    def before_train(self, runner) -> None:
        if runner.iter == 0:
            if is_main_process():
                self._record(runner).unlink(missing_ok=True)  # that of another training
        elif runner.val_loop is not None and self._due(runner):
            runner.logger.info(f'validating what was trained in {runner.iter} iterations')
            runner.val_loop.run()

    def _due(self, runner) -> bool:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            done, last = loop.epoch, loop.max_epochs
        elif isinstance(loop, IterBasedTrainLoop):
            done, last = loop.iter, loop.max_iters
        else:
            return False
        loop._decide_current_val_interval()
        record = self._record(runner)
        if record.is_file() and record.read_text() == str(runner.iter):
            return False
        return done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if is_main_process():
            whole_file.write(self._record(runner), str(runner.iter).encode())

    def _record(self, runner) -> Path:
        return Path(runner.work_dir, 'last_validation')
