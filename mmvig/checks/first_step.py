"""Where the first step of a training or test fails, in the words of the config.

Parts that do not fit one another are an error of torch there, which names neither the part nor the
setting.
"""

import functools
import traceback
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .errors import UserError


class FirstStep:
    """Watches which part of a model is at work, until it is closed.

    A convolution or linear layer that gets other channels than it reads is told.

    Args:
        model: without wrappers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._at_work: list[str] = []
        self._hooks = []
        for name, module in model.named_modules():
            enter = functools.partial(self._enter, name)
            enter.takes_parts = True  # so that the first step computes as all others do
            self._hooks.append(module.register_forward_pre_hook(enter))
            self._hooks.append(module.register_forward_hook(self._leave))

    def close(self) -> None:
        """Let the model alone."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def describe(self, error: Exception) -> str:
        """The part in which an error was raised, and the place in the code."""
        part = next((name for name in reversed(self._at_work) if name), '')
        frames = traceback.extract_tb(error.__traceback__)
        places = [f'{Path(frame.filename).name}:{frame.lineno}' for frame in frames[-1:]]
        return ', '.join(([f'model.{part}'] if part else []) + places)

    def _enter(self, name: str, module: nn.Module, inputs: tuple) -> None:
        self._at_work.append(name)
        if inputs and isinstance(inputs[0], Tensor):
            _check_width(name, module, inputs[0])

    def _leave(self, *_) -> None:
        self._at_work.pop()

    _leave.takes_parts = True


def _check_width(name: str, module: nn.Module, inputs: Tensor) -> None:
    if isinstance(module, _ConvNd):
        expected, axis = module.in_channels, -1 - len(module.kernel_size)
    elif isinstance(module, nn.Linear):
        expected, axis = module.in_features, -1
    else:
        return
    got = inputs.shape[axis] if inputs.dim() >= -axis else None
    if got != expected:
        raise UserError(
            f'expected model.{name} to read {got} channels, as many as come to it, it reads '
            f'{expected}: in_channels of that part, or out_channels of the part before it'
        )
