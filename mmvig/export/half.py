"""Weights and products in float16 where the time goes, the rest in float32.

Backbone, neck and dense heads are cast as wholes: they take and give float32, so that whatever
stands around them (boxes, the softmax, the interpolation to the size of the image) is as before.
Norms and the operator `bi_gla` compute in float32 inside.
"""

from collections.abc import Callable

import torch
from torch import nn

PARTS = ('backbone', 'neck', 'decode_head')


def with_float16_parts(module: nn.Module) -> nn.Module:
    """Cast the parts of a model in place; returns it."""
    for name, part in list(module.named_modules()):
        if name.rpartition('.')[2] in PARTS:
            part.half()
            # Not a hook: mmseg calls `forward` of a decode head itself.
            part.forward = _between_casts(part.forward)
            for layer in filter(_multiplies, part.modules()):
                layer.register_forward_pre_hook(lambda _, args: _cast(args, torch.float16))
    return module


def _between_casts(forward: Callable) -> Callable:
    return lambda *args: _cast(forward(*_cast(args, torch.float16)), torch.float32)


def _multiplies(layer: nn.Module) -> bool:
    """Whether an input in float32, as sums are, must be cast for it as autocast does."""
    return isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)


def _cast(value, dtype: torch.dtype):
    """Floating-point tensors in nested tuples and lists, cast."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(_cast(item, dtype) for item in value)
    return value
