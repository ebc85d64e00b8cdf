"""The pre-norm residual block of every backbone.

Dimension letters as in gated_linear_attention.py.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmvig.ops.tokenwise import tokenwise

from .drop_path import DropPath


class LayerScale(nn.Module):
    """One learned factor per channel (arXiv 2103.17239)."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(initial)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Block(nn.Module):
    """x ← x + s1 ⊙ mixer(norm1(x)), then x ← x + s2 ⊙ mlp(norm2(x)), with stochastic depth.

    Maps are channels-last: the last axis is channels; the mixer decides what the axes between it
    and the batch are.

    Args:
        channels: C.
        mixer: exchanges information between positions; keeps the shape.
        mlp: feed-forward on each position.
        norm: makes a norm of C channels.
        drop_path: probability of dropping a residual branch.
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
        return self.merge(x, self.mixer(self.norm1(x)))

    def merge(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The block's output, of its input and of what the mixer made of norm1(x)."""
        x = x + self.drop_path(self.scale1(mixed))
        return x + self.drop_path(self.scale2(self._feed_forward(x)))

    def step(self, state: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor]:
        """The next tokens of a sequence, for a mixer that has `step`: next state and output."""
        state, mixed = self.mixer.step(state, self.norm1(x))
        return state, self.merge(x, mixed)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return tokenwise(lambda x: self.mlp(self.norm2(x)), x, modules=(self.norm2, self.mlp))
