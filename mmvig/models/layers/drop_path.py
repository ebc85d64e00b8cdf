"""Stochastic depth (arXiv 1603.09382)."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves out a residual branch of some images of a batch, and scales that of the others.

    The same numbers from the same random state as mmcv's.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0 or not self.training:
            return x
        kept = 1 - self.drop_prob
        shape = (len(x), *[1] * (x.dim() - 1))
        random = torch.rand(shape, dtype=x.dtype, device=x.device)
        return x / kept * (kept + random).floor()

    def extra_repr(self) -> str:
        return f'drop_prob={self.drop_prob}'
