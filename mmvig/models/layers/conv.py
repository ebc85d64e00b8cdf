"""Convolutions of channels-last maps, and the way out to channels-first."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmvig.ops.conv import conv2d


class ConvNorm(nn.Module):
    """A convolution and a norm; by default 3×3 of stride 2: halves a map, sizes rounded up."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 2,
        padding: int = 1,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.norm = norm(out_channels)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        return self.norm(conv2d(self.conv, x_BYXC))


class ChannelsLast(nn.Module):
    """A module of [B, C, Y, X] maps, applied to a [B, Y, X, C] one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x_BYXC: Tensor) -> Tensor:
        return self.module(x_BYXC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def to_nchw(x_BYXC: Tensor) -> Tensor:
    """[B, C, Y, X], contiguous: mmcv's RoIAlign misreads maps with channels-last strides."""
    return x_BYXC.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
