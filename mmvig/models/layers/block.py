"""The residual block of every backbone, and the pieces that stems, steps and blocks are made of.

Maps stay channels-last ([B, Y, X, C]) between stem and output; see mixer.py for the letters.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmvig.ops.fused import swiglu
from mmvig.ops.linear import linear
from mmvig.ops.tokenwise import chain


class GatedMLP(nn.Module):
    """SwiGLU feed-forward: fc2(silu(a) ⊙ b) with [a, b] = fc1(x); no biases."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 2 * hidden, bias=False)
        self.fc2 = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor, norm: nn.Module) -> Tensor:
        """fc2(silu(a) ⊙ b) of norm(x)."""
        return chain(lambda x: swiglu(linear(self.fc1, norm(x))), [norm, self.fc1], self.fc2, x)


class MLP(nn.Module):
    """The feed-forward of a vision transformer: fc2(gelu(fc1(x)))."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, norm: nn.Module) -> Tensor:
        """fc2(gelu(fc1(norm(x))))."""
        return chain(lambda x: F.gelu(linear(self.fc1, norm(x))), [norm, self.fc1], self.fc2, x)


class LayerScale(nn.Module):
    """One learned factor per channel (arXiv 2103.17239)."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(initial)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Block(nn.Module):
    """x += s1 ⊙ mixer(norm1(x)); x += s2 ⊙ mlp(norm2(x)), both with stochastic depth.

    The last axis is channels; what comes between it and the batch is the mixer's business.

    Args:
        channels: C.
        mixer: exchanges information between positions, any shape to the same shape; what
            it returns is its own, for the block adds to it in place.
        mlp: feed-forward on each position.
        norm: makes a norm of C channels.
        drop_path: chance of leaving a residual out.
        layer_scale: initial value of s1 and s2; None for no factors.
    """

    def __init__(
        self,
        channels: int,
        mixer: nn.Module,
        mlp: nn.Module,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = norm(channels)
        self.mixer = mixer
        self.norm2 = norm(channels)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)
        scaled = layer_scale is not None
        self.scale1 = LayerScale(channels, layer_scale) if scaled else nn.Identity()
        self.scale2 = LayerScale(channels, layer_scale) if scaled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self._add(x, self.mixer(self.norm1(x)))

    def step(self, state: Tensor | None, x_BC: Tensor) -> tuple[Tensor, Tensor]:
        """One token of a sequence, for a mixer that has `step`: the next state, and the output."""
        state, mixed_BC = self.mixer.step(state, self.norm1(x_BC))
        return state, self._add(x_BC, mixed_BC)

    def _add(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = self.drop_path(self.scale1(mixed)).add_(x)
        return self.drop_path(self.scale2(self.mlp(x, self.norm2))).add_(x)


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


def to_map(x_BYXC: Tensor) -> Tensor:
    """[B, C, Y, X] with the strides of a fresh tensor: RoIAlign reads anything else wrongly."""
    return x_BYXC.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
