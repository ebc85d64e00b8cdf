"""Backbones of one resolution: a stem to stride 16, a position embedding, blocks, a final norm."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvig.models.layers.conv import to_nchw
from mmvig.ops.execution import is_traced

from .base import Backbone, drop_path_rates, maybe_checkpoint

STRIDE = 16


class PlainBackbone(Backbone):
    """Maps at stride 16 of an image of any size, after the last block or also after earlier ones.

    An image whose sides are no multiples of 16 is padded with zeros at its right and lower border,
    so maps have ⌈n/16⌉ rows and columns. The position embedding, learned on a grid of
    `pretrain_img_size / 16`, is resized to the map's grid by bicubic interpolation. The maps are
    contiguous NCHW tensors.

    Args:
        setting: the entry of `ARCHS`, with `channels`, `depth` and what the subclass needs.
        stem: makes [B, ⌈Y/16⌉, ⌈X/16⌉, C] of a channels-last image.
        make_block: called with the block's stochastic depth.
        norm: makes the norm of an output.
        in_channels, out_indices, pretrain_img_size, frozen_stages, drop_path_rate, with_cp,
            init_cfg: see `PlainViG`.
    """

    def __init__(
        self,
        setting: dict,
        stem: nn.Module,
        make_block: Callable[[float], nn.Module],
        norm: Callable[[int], nn.Module],
        in_channels: int,
        out_indices: Sequence[int] | None,
        pretrain_img_size: int,
        frozen_stages: int,
        drop_path_rate: float,
        with_cp: bool,
        init_cfg: dict | None,
    ) -> None:
        channels, depth = setting['channels'], setting['depth']
        if out_indices is None:
            out_indices = (depth - 1,)
        super().__init__(
            num_stages=depth,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        if pretrain_img_size < STRIDE or pretrain_img_size % STRIDE:
            raise ValueError(
                f'expected pretrain_img_size to be a multiple of {STRIDE}, got {pretrain_img_size}'
            )
        self.out_channels = (channels,) * len(self.out_indices)
        self.out_strides = (STRIDE,) * len(self.out_indices)
        self.grid = pretrain_img_size // STRIDE
        self.stem = stem
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2, channels))
        self.blocks = nn.ModuleList(
            make_block(rate) for rate in drop_path_rates(drop_path_rate, depth)
        )
        for i in self.out_indices:
            self.add_module(self._norm_name(i), norm(channels))

    def _norm_name(self, index: int) -> str:
        """The final norm is `norm`, which a classification model has too; others are numbered."""
        return 'norm' if index == len(self.blocks) - 1 else f'norm{index}'

    def init_from_scratch(self) -> None:
        super().init_from_scratch()
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def embed(self, image_BCYX: Tensor) -> Tensor:
        """What the first block reads: patches and their positions, [B, ⌈Y/16⌉, ⌈X/16⌉, C]."""
        self.check_image(image_BCYX)
        height, width = image_BCYX.shape[2:]
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        missing = (0, columns * STRIDE - width, 0, rows * STRIDE - height)
        padded = F.pad(image_BCYX, missing)
        x_BYXC = self.stem(padded.permute(0, 2, 3, 1).contiguous())
        return x_BYXC + self.positions(x_BYXC.shape[1], x_BYXC.shape[2])

    def positions(self, rows: int, columns: int, strip: slice | None = None) -> Tensor:
        """The position embedding on another grid, [1, rows, columns, C], or a strip of its rows."""
        grid_BYXC = self.pos_embed.unflatten(1, (self.grid, self.grid))
        if not is_traced() and (rows, columns) == (self.grid, self.grid):
            return grid_BYXC if strip is None else grid_BYXC[:, strip]
        rows_YJ, columns_XI = (
            _resize_matrix(self.pos_embed, n, self.grid) for n in (rows, columns)
        )
        if strip is not None:
            rows_YJ = rows_YJ[strip]
        with torch.autocast(self.pos_embed.device.type, enabled=False):
            tall_BYIC = torch.einsum('yj,bjic->byic', rows_YJ, grid_BYXC)
            return torch.einsum('xi,byic->byxc', columns_XI, tall_BYIC)

    def to_blocks(self, x_BYXC: Tensor) -> Tensor:
        """What the blocks work on: the map itself, unless a subclass makes it a sequence."""
        return x_BYXC

    def to_output(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """A normed output of a block in the form that `forward` returns."""
        return to_nchw(x)

    def forward(self, image_BCYX: Tensor) -> tuple[Tensor, ...]:
        """Maps [B, C, ⌈Y/16⌉, ⌈X/16⌉] after the blocks in `out_indices`."""
        x_BYXC = self.embed(image_BCYX)
        rows, columns = x_BYXC.shape[1:3]
        x = self.to_blocks(x_BYXC)
        outputs = []
        for i, block in enumerate(self.blocks[: self.out_indices[-1] + 1]):
            x = maybe_checkpoint(block, x, self.with_cp)
            if i in self.out_indices:
                normed = getattr(self, self._norm_name(i))(x)
                outputs.append(self.to_output(normed, rows, columns))
        return tuple(outputs)

    def freezable_parts(self) -> Iterator[list[nn.Module | nn.Parameter]]:
        yield [self.stem, self.pos_embed]
        for i, block in enumerate(self.blocks):
            normed = i in self.out_indices
            yield [block, getattr(self, self._norm_name(i))] if normed else [block]

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as mmpretrain defines it.

        Stem and embeddings are layer 0, the blocks count from 1, and the output norms come last.

        Returns:
            tuple[int, int]: the layer's number, and the number of all layers.
        """
        total = len(self.blocks) + 2
        parts = param_name.removeprefix(prefix).split('.')
        if parts[0] == 'blocks':
            return 1 + int(parts[1]), total
        return (total - 1 if parts[0].startswith('norm') else 0), total


def _resize_matrix(like: Tensor, rows: int, grid: int) -> Tensor:
    """Bicubic interpolation of `grid` values to `rows`, as a matrix.

    Two products with it are the resize of an image. Their gradient needs no atomic additions, so it
    repeats to the bit on a GPU, and compiles: with the resize itself in the graph the backbone's
    backward pass, compiled by torch 2.11 for a CPU, aborted.
    """
    eye = torch.eye(grid, dtype=like.dtype, device=like.device)
    return F.interpolate(eye[None, None], (rows, grid), mode='bicubic')[0, 0]
