"""Interpolation by rows, with the numbers of `torch.nn.functional.interpolate`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .maps import Map


class Bilinear(Map):
    """A map resized to Y×X by bilinear interpolation."""

    COPIES = 2

    def __init__(self, source: Map, size: tuple[int, int], align_corners: bool) -> None:
        super().__init__((*size, source.shape[2]), source.dtype, [source])
        self.align_corners = align_corners

    def rows(self, top: int, bottom: int) -> Tensor:
        (source,) = self.sources
        if source.shape == self.shape:
            return source.rows(top, bottom)
        above, below, weight = self._neighbours(top, bottom)
        first = int(above[0])
        x_BYXC = source.rows(first, int(below[-1]) + 1)
        weight = weight.to(x_BYXC)[:, None, None]
        above, below = ((index - first).to(x_BYXC.device) for index in (above, below))
        rows_BYXC = (1 - weight) * x_BYXC[:, above] + weight * x_BYXC[:, below]
        resized = F.interpolate(
            rows_BYXC.permute(0, 3, 1, 2),
            (bottom - top, self.shape[1]),
            mode='bilinear',
            align_corners=self.align_corners,
        )
        return resized.permute(0, 2, 3, 1)

    def _neighbours(self, top: int, bottom: int) -> tuple[Tensor, Tensor, Tensor]:
        """The rows around each, and the weight of the second: in torch's own arithmetic.

        It rounds the scale, and a position once: as a multiplication fused with an addition does.
        """
        exact = torch.promote_types(self.dtype, torch.float32)
        rows = self.sources[0].shape[0]
        index = torch.arange(top, bottom).double()
        if self.align_corners:
            scale = torch.tensor(rows - 1, dtype=exact) / max(self.shape[0] - 1, 1)
            at = scale.double() * index
        else:
            scale = torch.tensor(rows, dtype=exact) / self.shape[0]
            at = (scale.double() * (index + 0.5) - 0.5).clamp(0)
        at = at.to(exact)
        above = at.floor().clamp(max=rows - 1)
        below = (above + 1).clamp(max=rows - 1)
        return above.long(), below.long(), (at - above).clamp(0, 1)


class Nearest(Map):
    """A map resized to Y×X by repeating its nearest position."""

    COPIES = 2

    def __init__(self, source: Map, size: tuple[int, int]) -> None:
        super().__init__((*size, source.shape[2]), source.dtype, [source])

    def rows(self, top: int, bottom: int) -> Tensor:
        (source,) = self.sources
        rows, columns = (_nearest(*n) for n in zip(source.shape[:2], self.shape[:2], strict=True))
        rows = rows[top:bottom]
        x_BYXC = source.rows(int(rows[0]), int(rows[-1]) + 1)
        return x_BYXC[:, rows.to(x_BYXC.device) - int(rows[0])][:, :, columns.to(x_BYXC.device)]


def _nearest(count: int, wanted: int) -> Tensor:
    """The position that each wanted one repeats, in torch's own arithmetic."""
    positions = torch.arange(count, dtype=torch.float32)
    return F.interpolate(positions[None, None], wanted, mode='nearest')[0, 0].long()
