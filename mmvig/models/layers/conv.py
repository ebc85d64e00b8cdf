"""Convolutions of channels-last maps, and the way out to channels-first."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        x_BCYX = x_BYXC.permute(0, 3, 1, 2)
        if x_BCYX.shape[-1] == 1 and self.conv.stride == (2, 2):
            # The second column of padding, written out: torch's bfloat16 gradient of the weight, on
            # CPUs, reads unwritten memory where a map is one column wide (oneDNN 3.10, torch 2.11).
            x_BCYX = F.pad(x_BCYX, (0, 1))
        return self.norm(self.conv(x_BCYX).permute(0, 2, 3, 1))


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
