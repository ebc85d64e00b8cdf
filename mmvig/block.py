"""The residual block of the multi-scale backbone, and the pieces it is made of.

Tensors stay channels-last ([B, Y, X, C]) between stem and output; see mixer.py for the letters.
"""

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from .mixer import GatedLinearAttention2d


class GatedMLP(nn.Module):
    """SwiGLU feed-forward: fc2(silu(a) ⊙ b) with [a, b] = fc1(x); no biases."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 2 * hidden, bias=False)
        self.fc2 = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(F.silu(gate) * value)


class ViGBlock(nn.Module):
    """x += mixer(norm1(x)); x += mlp(norm2(x)), both with stochastic depth."""

    def __init__(
        self, channels: int, heads: int, hidden: int, drop_path: float, backend: str
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.mixer = GatedLinearAttention2d(channels, heads, backend=backend)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = GatedMLP(channels, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        x_BYXC = x_BYXC + self.drop_path(self.mixer(self.norm1(x_BYXC)))
        return x_BYXC + self.drop_path(self.mlp(self.norm2(x_BYXC)))


class ConvNorm(nn.Module):
    """A 3×3 convolution of stride 2 and a LayerNorm: halves an image, sizes rounded up."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        return self.norm(self.conv(x_BYXC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
