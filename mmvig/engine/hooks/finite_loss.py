"""Stops a training whose loss or weights are no longer finite, and says where that began."""

from pathlib import Path

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmvig.engine.resume import rng_state
from mmvig.messages import join_some
from mmvig.registry import HOOKS

from .first_non_finite import first_not_finite, is_finite, weights_not_finite


class NotFiniteError(ArithmeticError):
    """The loss or a weight became NaN or infinite; the message, one line, says where."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Raises `NotFiniteError` when a loss is NaN or infinite, before a step takes it into a weight.

    The loss is looked at in every iteration, between the backward pass and the optimizer's step:
    one number is read from the device, where clipping gradients and logging read others. With
    several processes one number is exchanged, and all of them stop. Gradients may be infinite, as
    dynamic loss scaling lets them be.

    Then the forward pass is made again with the same batch, random numbers and weights, looking at
    what goes into and comes out of every module. No checkpoint is written with weights that are not
    finite, so the newest checkpoint is a good one.
    """

    def before_train(self, runner: Runner) -> None:
        for wrapper in _wrappers(runner):
            wrapper.backward = self._checked(runner, wrapper.backward)

    def after_train(self, runner: Runner) -> None:
        for wrapper in _wrappers(runner):
            del wrapper.backward  # the instance's; that of its class is left

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.batch = data_batch
        self.random_state = rng_state.capture()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        parameters = {name for name, _ in _unwrapped(runner.model).named_parameters()}
        tensors = {k: x for k, x in checkpoint['state_dict'].items() if isinstance(x, Tensor)}
        # An infinite buffer may be meant, as in a mask.
        bad = [
            name
            for name, x in tensors.items()
            if (not is_finite(x) if name in parameters else x.isnan().any())
        ]
        if bad:
            self._raise(
                runner,
                f'after iteration {checkpoint["meta"]["iter"]} weights are not finite: '
                f'{join_some(bad, most=3)}. No checkpoint was written with them',
                _MEND_TRAINING,
            )

    def _checked(self, runner: Runner, backward):
        def checked(loss: Tensor, **kwargs) -> None:
            bad = torch.logical_not(torch.isfinite(loss.detach()).all()).float()
            all_reduce(bad, 'max')
            backward(loss, **kwargs)
            # Not read earlier: until here the device works ahead of Python.
            if bad.item():
                self._stop(runner)

        return checked

    def _stop(self, runner: Runner) -> None:
        """Every process makes its pass again: batch norms may wait for each other."""
        own = self._examine(runner)
        found = [message for message in all_gather_object(own) if message]
        where = f'iteration {runner.iter + 1}, epoch {runner.epoch + 1}'
        what, advice = found[0] if found else (_DOES_NOT_REPEAT, _MEND_TRAINING)
        self._raise(runner, f'{where}: {what}. Training stopped before the step', advice)

    def _examine(self, runner: Runner) -> tuple[str, str] | None:
        """What is not finite and what to do, or None where this process finds nothing."""
        rng_state.restore(self.random_state)
        model = _unwrapped(runner.model)
        weights = weights_not_finite(model)
        seen = {}

        def forward() -> None:
            seen['batch'] = model.data_preprocessor(self.batch, True)
            seen['losses'] = model(**seen['batch'], mode='loss')

        (wrapper, *_) = _wrappers(runner)
        with torch.no_grad(), wrapper.optim_context(model):
            place = first_not_finite(model, torch.compiler.disable(forward))
        _, parsed = model.parse_losses(seen['losses'])
        losses = [name for name, loss in parsed.items() if not is_finite(loss)]
        if not losses:
            return None
        paths = _paths(seen['batch'])
        process = f' in process {get_rank()}' if get_world_size() > 1 else ''
        what = f'the loss is not finite ({", ".join(losses)}){process} for the images '
        what += ', '.join(paths)
        inputs = zip(paths, seen['batch']['inputs'], strict=False)
        images = [path for path, image in inputs if not is_finite(image)]
        if images:
            return f'{what}; not finite were the images {", ".join(images)}', _MEND_IMAGE
        what += f'; the first value that is not finite is {place or "the sum of the losses"}'
        if weights:
            what += f'; weights are not finite: {join_some(weights, most=3)}'
        return what, _MEND_TRAINING

    def _raise(self, runner: Runner, what: str, advice: str) -> None:
        pointer = Path(runner.work_dir, 'last_checkpoint')
        last = f'last checkpoint: {pointer.read_text()}' if pointer.is_file() else 'no checkpoint'
        message = f'{what} ({last}). {advice}'
        runner.logger.error(message)
        raise NotFiniteError(message)


_MEND_IMAGE = 'Mend these images, or leave them out of the annotations; then go on with --resume'
_MEND_TRAINING = (
    'Go on with --resume and a lower learning rate, a longer warm-up, '
    'optim_wrapper.clip_grad.max_norm=1, or bfloat16 or float32 instead of float16'
)
_DOES_NOT_REPEAT = (
    'the loss was not finite, but is when the same batch is taken again, so the cause is not in '
    'the images or the weights: an operation that does not repeat, or the hardware'
)


def _wrappers(runner: Runner) -> list:
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, DistributedDataParallel) else model


def _paths(batch: dict) -> list[str]:
    return [str(sample.get('img_path', '?')) for sample in batch['data_samples']]
