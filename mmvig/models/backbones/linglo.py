"""LinGlo, our reading of the abstract of arXiv 2207.00188, as an OpenMMLab backbone."""

from collections.abc import Sequence

from mmvig.models.layers.block import Block
from mmvig.models.layers.key_only_attention import DepthwiseSeparableConv2d, KeyOnlyAttention2d
from mmvig.models.layers.mlp import GatedMLP
from mmvig.registry import MODELS

from .multi_scale import MultiScaleBackbone


@MODELS.register_module()
class LinGlo(MultiScaleBackbone):
    """Key-only attention in alternation with convolution, at strides 4, 8, 16 and 32.

    A reading of the paper's abstract, since its formulas and sizes are not available to us; no
    number of the paper is claimed. `mmvig.models.layers.key_only_attention` has the equations. In
    every stage the blocks alternate, convolution first; stem, steps and MLP are those of
    `MultiScaleViG`. Sizes are ⌈n/2⌉ at each halving, so odd ones work. The maps are contiguous NCHW
    tensors.

    Args:
        arch (str | dict): 'nano' (for CPUs), 'tiny', 'small', all ours, or a dict with `channels`,
            `depths` (at least 2), `heads` and `hidden` (width of the gated MLP), one entry per
            stage. Defaults to 'tiny'.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages whose maps are returned. Defaults to (0, 1, 2, 3).
        frozen_stages (int): 0 freezes the stem, n also the first n stages with their output norms;
            -1 nothing. Defaults to -1.
        drop_path_rate (float): Stochastic depth of the last block; grows linearly from 0.
            Defaults to 0.
        with_cp (bool): Recompute each block in the backward pass instead of keeping its
            activations. Defaults to False.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=FILE_OR_URL)` loads the file
            of an MM runner; `prefix` picks a part of a larger model. Defaults to None: random
            weights.

    Attributes:
        out_channels (tuple[int]): Width of each returned map.
        out_strides (tuple[int]): Stride of each returned map.
    """

    ARCHS = {
        'nano': dict(
            channels=(32, 64, 128, 256),
            depths=(2, 2, 2, 2),
            heads=(1, 2, 4, 8),
            hidden=(64, 128, 256, 512),
        ),
        'tiny': dict(
            channels=(64, 128, 256, 512),
            depths=(2, 2, 6, 2),
            heads=(2, 4, 8, 16),
            hidden=(192, 352, 704, 1376),
        ),
        'small': dict(
            channels=(96, 192, 384, 768),
            depths=(2, 2, 8, 2),
            heads=(3, 6, 12, 24),
            hidden=(256, 512, 1024, 2048),
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
        init_cfg: dict | None = None,
    ) -> None:
        def make_block(sizes: dict, index: int, drop_path: float) -> Block:
            channels = sizes['channels']
            if index % 2:
                mixer = KeyOnlyAttention2d(channels, sizes['heads'])
            else:
                mixer = DepthwiseSeparableConv2d(channels)
            mlp = GatedMLP(channels, sizes['hidden'])
            return Block(channels, mixer, mlp, drop_path=drop_path)

        super().__init__(
            arch,
            make_block,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )

    @classmethod
    def resolve_arch(cls, arch: str | dict) -> dict:
        setting = super().resolve_arch(arch)
        if min(setting['depths']) < 2:
            raise ValueError(
                'expected depths of at least 2, so that every stage has convolution and attention; '
                f'got {setting["depths"]}'
            )
        return setting
