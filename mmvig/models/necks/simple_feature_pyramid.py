"""The neck that makes plain backbones multi-scale: the simple feature pyramid of ViTDet."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmvig.models.base_module import BaseModule
from mmvig.models.layers.conv import ChannelsLast, ConvNorm, to_nchw
from mmvig.registry import MODELS


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Maps at strides 4, 8, 16, 32 (and 64, …) from maps at stride 16.

    ViTDet, arXiv 2203.16527, section 3: levels are made in parallel, without lateral or top-down
    connections: by deconvolutions of stride 2 (their width halves each time), the map itself, and a
    maximum over 2×2 positions. Each is followed by a 1×1 and a 3×3 convolution with LayerNorm. For
    a map of h rows the levels have 4h, 2h, h, ⌈h/2⌉, … rows; they are contiguous NCHW tensors.

    Args:
        in_channels (Sequence[int]): Width of each map that comes in: of one, which then makes all
            levels, or of four (a plain backbone with four `out_indices`), one for each level.
        out_channels (int): Width of every level. Defaults to 256.
        num_outs (int): Number of levels, from 4 with `start_level` 0; those beyond stride 32 take
            every second position of the level before, as mmdet's FPN does. Defaults to 5, which RPN
            heads expect.
        start_level (int): The first level that is made; 1 leaves out stride 4, as RetinaNet does.
            Defaults to 0.
        init_cfg (dict, optional): Initialisation by mmengine. Defaults to None: torch's.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outs: int = 5,
        start_level: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) not in (1, 4):
            raise ValueError(
                f'expected in_channels with one entry, or one for each of 4 levels, got '
                f'{in_channels}; set out_indices of the backbone to fit'
            )
        if start_level not in range(4):
            raise ValueError(f'expected start_level within 0 … 3, got {start_level!r}')
        if num_outs < 4 - start_level:
            raise ValueError(f'expected num_outs of at least {4 - start_level}, got {num_outs}')
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        self.start_level = start_level
        widths = self.in_channels if len(in_channels) == 4 else self.in_channels * 4
        self.levels = nn.ModuleList(
            nn.Sequential(
                *resize,
                ConvNorm(width, out_channels, kernel_size=1, stride=1, padding=0),
                ConvNorm(out_channels, out_channels, kernel_size=3, stride=1, padding=1),
            )
            for resize, width in (
                (_quadruple(widths[0]), widths[0] // 4),
                (_double(widths[1]), widths[1] // 2),
                ([], widths[2]),
                ([ChannelsLast(nn.MaxPool2d(2, ceil_mode=True))], widths[3]),
            )[start_level:]
        )
        self.extra = nn.ModuleList(
            ChannelsLast(nn.MaxPool2d(1, stride=2)) for _ in range(num_outs - len(self.levels))
        )

    def forward(self, maps_BCYX: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """`num_outs` maps [B, out_channels, …] from as many maps as `in_channels` has entries."""
        if len(maps_BCYX) != len(self.in_channels):
            raise ValueError(
                f'expected {len(self.in_channels)} maps, as in_channels says, got {len(maps_BCYX)}'
            )
        inputs = maps_BCYX if len(maps_BCYX) == 4 else list(maps_BCYX) * 4
        found = [
            level(x_BCYX.permute(0, 2, 3, 1))
            for level, x_BCYX in zip(self.levels, inputs[self.start_level :], strict=True)
        ]
        for step in self.extra:
            found.append(step(found[-1]))
        return tuple(to_nchw(x_BYXC) for x_BYXC in found)


def _double(width: int) -> list[nn.Module]:
    """Twice the rows and columns, half the channels."""
    return [ChannelsLast(nn.ConvTranspose2d(width, width // 2, 2, stride=2))]


def _quadruple(width: int) -> list[nn.Module]:
    half = width // 2
    return [*_double(width), nn.LayerNorm(half), nn.GELU(), *_double(half)]
