"""What a run depends on, as a hash: another model or image must not go on with its maps."""

from itertools import chain

import torch
from torch import nn

from .rows import Rows

SAMPLES = 8
_SETTING = (bool, int, float, str, tuple, type(None))


def add_module(identity, module: nn.Module) -> None:
    """Structure, settings and weights of a model."""
    for name, part in module.named_modules():
        settings = {
            key: value
            for key, value in vars(part).items()
            if isinstance(value, _SETTING) and not key.startswith('_')
        }
        identity.update(f'{name} {type(part).__name__} {sorted(settings.items())}'.encode())
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        identity.update(f'{name} {list(tensor.shape)} {tensor.dtype}'.encode())
        identity.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())


def add_image(identity, image: Rows) -> None:
    """The size of an image and a few of its rows: all of them would be read once more."""
    height = image.shape[0]
    identity.update(repr(tuple(image.shape)).encode())
    for row in sorted({i * (height - 1) // (SAMPLES - 1) for i in range(SAMPLES)}):
        array = image.read(row, row + 1)
        identity.update(f'{row} {array.dtype}'.encode() + array.tobytes())
