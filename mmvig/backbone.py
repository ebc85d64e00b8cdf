"""The multi-scale ViG backbone (ViG-H of arXiv 2405.18425) as an OpenMMLab backbone."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .block import ConvNorm, ViGBlock
from .checkpoint import load_pretrained
from .registry import MODELS


class Stage(nn.Module):
    """Blocks of one resolution, and the step down to the next one (None for the last stage)."""

    def __init__(self, blocks: Sequence[ViGBlock], downsample: ConvNorm | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


@MODELS.register_module()
class MultiScaleViG(BaseModule):
    """Multi-scale ViG: feature maps at strides 4, 8, 16 and 32 of an image of any size.

    Sizes are ⌈n/2⌉ at each halving, so odd ones work, down to one pixel. The maps are contiguous
    NCHW tensors: mmcv's RoIAlign misreads channels-last ones.

    Args:
        arch (str | dict): 'nano' (for CPUs, ours), 'tiny', 'small', 'base' (ViG-H-T, -S, -B), or a
            dict with `channels`, `depths`, `heads` and `hidden` (width of the gated MLP), one entry
            per stage. Defaults to 'tiny'.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned. Defaults to (0, 1, 2, 3).
        frozen_stages (int): 0 freezes the stem, n also the first n stages with their output norms;
            -1 nothing. Defaults to -1.
        drop_path_rate (float): Stochastic depth of the last block; grows linearly from 0.
            Defaults to 0.
        with_cp (bool): Recompute each block in the backward pass instead of keeping its
            activations. Defaults to False.
        op_backend (str): Backend of `mmvig.kernels.bi_gla`. Defaults to 'auto'.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=FILE_OR_URL)` loads a file of
            the official release, of `tools/convert_checkpoint.py` or of an MM runner; `prefix`
            picks a part of a larger model. Defaults to None: random weights.

    Attributes:
        out_channels (tuple[int]): Width of each returned map.
        out_strides (tuple[int]): Stride of each returned map.
    """

    ARCHS = {
        'nano': dict(
            channels=(32, 64, 128, 256),
            depths=(1, 1, 2, 1),
            heads=(1, 2, 4, 8),
            hidden=(96, 192, 352, 704),
        ),
        'tiny': dict(
            channels=(96, 192, 384, 768),
            depths=(2, 2, 5, 2),
            heads=(3, 6, 12, 24),
            hidden=(256, 512, 1024, 2048),
        ),
        'small': dict(
            channels=(96, 192, 384, 768),
            depths=(2, 2, 17, 2),
            heads=(3, 6, 12, 24),
            hidden=(256, 512, 1024, 2048),
        ),
        'base': dict(
            channels=(128, 256, 512, 1024),
            depths=(2, 2, 17, 2),
            heads=(4, 8, 16, 32),
            hidden=(352, 704, 1376, 2752),
        ),
    }

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        op_backend: str = 'auto',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        setting = self._setting(arch)
        channels, depths = setting['channels'], setting['depths']
        count = len(depths)
        if not out_indices or any(not 0 <= i < count for i in out_indices):
            raise ValueError(f'expected out_indices within 0 … {count - 1}, got {out_indices}')
        if not -1 <= frozen_stages <= count:
            raise ValueError(f'expected frozen_stages within -1 … {count}, got {frozen_stages}')
        self.in_channels = in_channels
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(2 ** (i + 2) for i in self.out_indices)

        half = channels[0] // 2
        self.stem = nn.Sequential(
            ConvNorm(in_channels, half), nn.GELU(), ConvNorm(half, channels[0])
        )
        last = max(sum(depths) - 1, 1)
        rates = iter([drop_path_rate * i / last for i in range(sum(depths))])
        self.stages = nn.ModuleList()
        for i, width in enumerate(channels):
            blocks = [
                ViGBlock(width, setting['heads'][i], setting['hidden'][i], next(rates), op_backend)
                for _ in range(depths[i])
            ]
            down = ConvNorm(width, channels[i + 1]) if i + 1 < count else None
            self.stages.append(Stage(blocks, down))
        for i in self.out_indices:
            self.add_module(f'norm{i}', nn.LayerNorm(channels[i]))
        self._freeze()

    @classmethod
    def _setting(cls, arch: str | dict) -> dict:
        if isinstance(arch, str):
            if arch not in cls.ARCHS:
                raise ValueError(
                    f'expected arch to be one of {", ".join(cls.ARCHS)} or a dict, got {arch!r}'
                )
            return cls.ARCHS[arch]
        names = set(cls.ARCHS['tiny'])
        if not isinstance(arch, dict) or set(arch) != names:
            got = sorted(arch) if isinstance(arch, dict) else arch
            raise ValueError(f'expected an arch dict with {sorted(names)}, got {got}')
        lengths = {name: len(values) for name, values in arch.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f'expected one entry per stage in every list of arch, got {lengths}')
        return arch

    def init_weights(self) -> None:
        """Initialise as the official multi-scale code does, then load `init_cfg`'s checkpoint."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.init_cfg:
            wanted = dict(self.init_cfg)
            if wanted.pop('type', None) != 'Pretrained' or set(wanted) - {'checkpoint', 'prefix'}:
                raise ValueError(
                    "expected init_cfg=dict(type='Pretrained', checkpoint=…[, prefix=…]) or None, "
                    f'got {self.init_cfg}'
                )
            load_pretrained(self, wanted['checkpoint'], wanted.get('prefix', ''))
        self._is_init = True

    def forward(self, image_BCYX: Tensor) -> tuple[Tensor, ...]:
        """Maps [B, C_i, ⌈Y/stride⌉, ⌈X/stride⌉] of the stages in `out_indices`."""
        if image_BCYX.dim() != 4 or image_BCYX.shape[1] != self.in_channels:
            raise ValueError(
                f'expected images of shape [B, {self.in_channels}, height, width], got '
                f'{list(image_BCYX.shape)}'
            )
        x_BYXC = self.stem(image_BCYX.permute(0, 2, 3, 1).contiguous())
        maps = []
        for i, stage in enumerate(self.stages):
            for block in stage.blocks:
                if self.with_cp and x_BYXC.requires_grad:
                    x_BYXC = checkpoint(block, x_BYXC, use_reentrant=False)
                else:
                    x_BYXC = block(x_BYXC)
            if i in self.out_indices:
                normed = getattr(self, f'norm{i}')(x_BYXC)
                maps.append(normed.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format))
            if i == max(self.out_indices):
                break
            x_BYXC = stage.downsample(x_BYXC)
        return tuple(maps)

    def train(self, mode: bool = True) -> 'MultiScaleViG':
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        frozen = [self.stem] if self.frozen_stages >= 0 else []
        for i in range(self.frozen_stages):
            frozen.append(self.stages[i])
            if i in self.out_indices:
                frozen.append(getattr(self, f'norm{i}'))
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

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
