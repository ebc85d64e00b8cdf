"""Backbones of several resolutions: a stem, stages of blocks, a step down between stages."""

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from mmvig.models.layers.conv import ConvNorm, to_nchw

from .base import Backbone, drop_path_rates, maybe_checkpoint


class Stage(nn.Module):
    """Blocks of one resolution, and the step down to the next one (None for the last stage)."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: ConvNorm | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x_BYXC: Tensor, with_cp: bool = False) -> Tensor:
        """The blocks alone: the map before the step down is the stage's output."""
        for block in self.blocks:
            x_BYXC = maybe_checkpoint(block, x_BYXC, with_cp)
        return x_BYXC


class MultiScaleBackbone(Backbone):
    """Feature maps at strides 4, 8, 16 and 32 of an image of any size.

    Sizes are ⌈n/2⌉ at each halving, so odd ones work, down to one pixel. The maps are contiguous
    NCHW tensors.

    Args:
        arch: see the subclass; a dict has one entry per stage in every list.
        make_block: called with the stage's setting (`channels`, `heads`, `hidden`), the block's
            number in its stage and its stochastic depth.
        in_channels, out_indices, frozen_stages, drop_path_rate, with_cp, init_cfg: see
            `MultiScaleViG`.
    """

    def __init__(
        self,
        arch: str | dict,
        make_block: Callable[[dict, int, float], nn.Module],
        in_channels: int,
        out_indices: Sequence[int],
        frozen_stages: int,
        drop_path_rate: float,
        with_cp: bool,
        init_cfg: dict | None,
    ) -> None:
        setting = self.resolve_arch(arch)
        channels, depths = setting['channels'], setting['depths']
        super().__init__(
            num_stages=len(depths),
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(2 ** (i + 2) for i in self.out_indices)

        half = channels[0] // 2
        self.stem = nn.Sequential(
            ConvNorm(in_channels, half), nn.GELU(), ConvNorm(half, channels[0])
        )
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        self.stages = nn.ModuleList()
        for i, width in enumerate(channels):
            sizes = {name: values[i] for name, values in setting.items()}
            blocks = [make_block(sizes, j, next(rates)) for j in range(depths[i])]
            down = ConvNorm(width, channels[i + 1]) if i + 1 < len(depths) else None
            self.stages.append(Stage(blocks, down))
        for i in self.out_indices:
            self.add_module(f'norm{i}', nn.LayerNorm(channels[i]))
        self.freeze()

    @classmethod
    def resolve_arch(cls, arch: str | dict) -> dict:
        setting = super().resolve_arch(arch)
        lengths = {
            name: len(values) if isinstance(values, Sequence) else 'none'
            for name, values in setting.items()
        }
        if len(set(lengths.values())) != 1:
            raise ValueError(f'expected one entry per stage in every list of arch, got {lengths}')
        return setting

    def forward(self, image_BCYX: Tensor) -> tuple[Tensor, ...]:
        """Maps [B, C_i, ⌈Y/stride⌉, ⌈X/stride⌉] of the stages in `out_indices`."""
        self.check_image(image_BCYX)
        x_BYXC = self.stem(image_BCYX.permute(0, 2, 3, 1).contiguous())
        maps = []
        for i, stage in enumerate(self.stages):
            x_BYXC = stage(x_BYXC, self.with_cp)
            if i in self.out_indices:
                maps.append(to_nchw(getattr(self, f'norm{i}')(x_BYXC)))
            if i == self.out_indices[-1]:
                break
            x_BYXC = stage.downsample(x_BYXC)
        return tuple(maps)

    def freezable_parts(self) -> Iterator[list[nn.Module]]:
        yield [self.stem]
        for i, stage in enumerate(self.stages):
            yield [stage, getattr(self, f'norm{i}')] if i in self.out_indices else [stage]

    def unused_modules(self) -> list[nn.Module]:
        step = self.stages[self.out_indices[-1]].downsample
        return [*([step] if step else []), *super().unused_modules()]

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as mmpretrain defines it.

        The stem is layer 0, the blocks count from 1 through all stages, a step down belongs to the
        block before it, and the output norms come last.

        Returns:
            tuple[int, int]: the layer's number, and the number of all layers.
        """
        depths = [len(stage.blocks) for stage in self.stages]
        total = sum(depths) + 2
        parts = param_name.removeprefix(prefix).split('.')
        if parts[0] == 'stem':
            return 0, total
        if parts[0] == 'stages':
            stage = int(parts[1])
            block = int(parts[3]) if parts[2] == 'blocks' else depths[stage] - 1
            return 1 + sum(depths[:stage]) + block, total
        return total - 1, total
