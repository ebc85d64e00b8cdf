"""Stops a training whose loss or weights become NaN or infinite, and says where that began."""

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

from .first_non_finite import first_non_finite, is_finite, non_finite_weights


class NonFiniteError(ArithmeticError):
    """The loss or a weight became NaN or infinite; the message, one line, says where."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Raises `NonFiniteError` when a loss is NaN or infinite, before a step spreads it to weights.

    The loss is checked in every iteration, between the backward pass and the optimizer's step: one
    number is read from the device, as clipping gradients and logging do. With several processes one
    number is exchanged, and all of them stop. Gradients may be infinite, as dynamic loss scaling
    makes them.

    To find the cause, the forward pass is repeated with the same batch, random numbers and weights,
    checking the inputs and outputs of every module. Checkpoints with non-finite weights are not
    written, so the newest checkpoint is a good one.

    `python -m mmvig train` adds this hook to every config that does not name it. To train without
    it, refuse it, by `--cfg-options default_hooks.finite_loss=None` or in the config, or name it
    and turn it off::

        default_hooks = dict(finite_loss=None)
        custom_hooks = [dict(type='mmvig.FiniteLossHook', enabled=False)]

    Args:
        enabled (bool): Whether anything is checked. Defaults to True.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_train(self, runner: Runner) -> None:
        for wrapper in self._watched(runner):
            wrapper.backward = self._checked(runner, wrapper.backward)

    def after_train(self, runner: Runner) -> None:
        for wrapper in self._watched(runner):
            del wrapper.backward  # the instance's; that of its class is left

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if self.enabled:
            self.batch = data_batch
            self.rng_state = rng_state.get_rng_state()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not self.enabled:
            return
        parameters = {name for name, _ in _unwrapped(runner.model).named_parameters()}
        tensors = {k: x for k, x in checkpoint['state_dict'].items() if isinstance(x, Tensor)}
        # An infinite buffer may be intended, as in a mask.
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
                _ADVICE_TRAINING,
            )

    def _watched(self, runner: Runner) -> list:
        return _wrappers(runner) if self.enabled else []

    def _checked(self, runner: Runner, backward):
        def checked(loss: Tensor, **kwargs) -> None:
            bad = torch.logical_not(torch.isfinite(loss.detach()).all()).float()
            all_reduce(bad, 'max')
            backward(loss, **kwargs)
            # Not read before: that would make Python wait for the device during the forward pass.
            if bad.item():
                self._stop(runner)

        return checked

    def _stop(self, runner: Runner) -> None:
        """Every process repeats its pass, as batch norms may wait for one another."""
        diagnoses = [
            diagnosis for diagnosis in all_gather_object(self._diagnose(runner)) if diagnosis
        ]
        cause, advice = diagnoses[0] if diagnoses else (_DOES_NOT_REPEAT, _ADVICE_TRAINING)
        where = f'iteration {runner.iter + 1}, epoch {runner.epoch + 1}'
        self._raise(runner, f'{where}: {cause}. Training stopped before the step', advice)

    def _diagnose(self, runner: Runner) -> tuple[str, str] | None:
        """Cause and advice, or None where this process finds no cause."""
        rng_state.set_rng_state(self.rng_state)
        model = _unwrapped(runner.model)
        weights = non_finite_weights(model)
        seen = {}

        def forward() -> None:
            seen['batch'] = model.data_preprocessor(self.batch, True)
            seen['losses'] = model(**seen['batch'], mode='loss')

        (wrapper, *_) = _wrappers(runner)
        with torch.no_grad(), wrapper.optim_context(model):
            place = first_non_finite(model, torch.compiler.disable(forward))
        _, parsed = model.parse_losses(seen['losses'])
        losses = [name for name, loss in parsed.items() if not is_finite(loss)]
        if not losses:
            return None
        paths = _paths(seen['batch'])
        process = f' in process {get_rank()}' if get_world_size() > 1 else ''
        cause = f'the loss is not finite ({", ".join(losses)}){process} for the images '
        cause += ', '.join(paths)
        inputs = zip(paths, seen['batch']['inputs'], strict=False)
        images = [path for path, image in inputs if not is_finite(image)]
        if images:
            return f'{cause}; not finite were the images {", ".join(images)}', _ADVICE_IMAGE
        cause += f'; the first value that is not finite is {place or "the sum of the losses"}'
        if weights:
            cause += f'; weights are not finite: {join_some(weights, most=3)}'
        return cause, _ADVICE_TRAINING

    def _raise(self, runner: Runner, cause: str, advice: str) -> None:
        pointer = Path(runner.work_dir, 'last_checkpoint')
        last = f'last checkpoint: {pointer.read_text()}' if pointer.is_file() else 'no checkpoint'
        message = f'{cause} ({last}). {advice}'
        runner.logger.error(message)
        raise NonFiniteError(message)


_ADVICE_IMAGE = 'Mend these images, or leave them out of the annotations; then go on with --resume'
_ADVICE_TRAINING = (
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
