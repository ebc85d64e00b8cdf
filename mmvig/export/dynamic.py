"""Replaces the parts of a model whose graph would hold for the traced size of the image only."""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.retention import Retention, chunkwise


def for_any_size(module: nn.Module) -> nn.Module:
    """A copy with equal numbers that can be traced for all sizes.

    Pooling to a fixed grid is a product with matrices, and all linear attention goes through
    `bi_gla`: forms that take token after token would be unrolled.
    """
    module = copy.deepcopy(module)
    for part in list(module.modules()):
        for name, child in part.named_children():
            if type(child) is nn.AdaptiveAvgPool2d:
                setattr(part, name, AveragePoolToGrid(child.output_size))
        if isinstance(part, Retention):
            part.retain = partial(chunkwise, backend='auto')
        if isinstance(part, GatedLinearAttention2d):
            part.backend = 'auto'
    return module


class AveragePoolToGrid(nn.Module):
    """`torch.nn.AdaptiveAvgPool2d` by two matrices of averages, built from the size of the map.

    The exporter of torch writes that layer with the windows of the traced size.
    """

    def __init__(self, output_size: int | None | tuple[int | None, int | None]) -> None:
        super().__init__()
        pair = isinstance(output_size, tuple | list)
        self.output_size = tuple(output_size) if pair else (output_size, output_size)

    def forward(self, x_BCYX: Tensor) -> Tensor:
        rows, columns = self.output_size
        if (rows, columns) == (1, 1):
            return x_BCYX.mean((2, 3), keepdim=True)
        if rows is not None:
            x_BCYX = averages(rows, x_BCYX.shape[2], x_BCYX) @ x_BCYX
        if columns is not None:
            x_BCYX = x_BCYX @ averages(columns, x_BCYX.shape[3], x_BCYX).mT
        return x_BCYX


def averages(windows: int, size: int, like: Tensor) -> Tensor:
    """The matrix [windows, size] that averages over ⌊i·size/windows⌋ … ⌈(i+1)·size/windows⌉."""
    window = torch.arange(windows, device=like.device)[:, None]
    position = torch.arange(size, device=like.device)
    begun = window * size < (position + 1) * windows
    ended = position * windows >= (window + 1) * size
    inside = (begun & ~ended).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)
