"""The plain ViG backbone (ViG-T, -S, -B of arXiv 2405.18425) as an OpenMMLab backbone."""

from collections.abc import Sequence

from torch import nn

from mmvig.models.layers.block import Block
from mmvig.models.layers.conv import ConvNorm
from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.mlp import GatedMLP
from mmvig.models.layers.norm import RMSNorm
from mmvig.registry import MODELS

from .plain import PlainBackbone


@MODELS.register_module()
class PlainViG(PlainBackbone):
    """Plain ViG: one feature map at stride 16 of an image of any size, after the final norm.

    An image whose sides are no multiples of 16 is padded with zeros at its right and lower border.
    `mmvig.SimpleFeaturePyramid` makes maps at strides 4 to 32 of the one at stride 16. The maps are
    contiguous NCHW tensors.

    Args:
        arch (str | dict): 'nano' (for CPUs, ours), 'tiny', 'small', 'base' (ViG-T, -S, -B), or a
            dict with `channels`, `depth`, `heads`, `hidden` (width of the gated MLP) and
            `activation` (SiLU in the mixer, which tiny alone has). Defaults to 'tiny'.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int], optional): Blocks after which maps are returned, from 0, each
            with its own norm. Defaults to None: the last block.
        pretrain_img_size (int): Side of the images that the position embedding was learned on; it
            is resized (bicubic) to any other. Defaults to 224.
        frozen_stages (int): 0 freezes the stem and the position embedding, n also the first n
            blocks with their output norms; -1 nothing. Defaults to -1.
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
        'nano': dict(channels=128, depth=6, heads=4, hidden=352, activation=True),
        'tiny': dict(channels=192, depth=12, heads=3, hidden=512, activation=True),
        'small': dict(channels=384, depth=12, heads=6, hidden=1024, activation=False),
        'base': dict(channels=768, depth=12, heads=12, hidden=2048, activation=False),
    }

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        pretrain_img_size: int = 224,
        frozen_stages: int = -1,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        op_backend: str = 'auto',
        init_cfg: dict | None = None,
    ) -> None:
        setting = self.resolve_arch(arch)
        channels = setting['channels']

        def make_block(drop_path: float) -> Block:
            mixer = GatedLinearAttention2d(
                channels, setting['heads'], activation=setting['activation'], backend=op_backend
            )
            return Block(channels, mixer, GatedMLP(channels, setting['hidden']), RMSNorm, drop_path)

        half = channels // 2
        stem = nn.Sequential(
            ConvNorm(in_channels, half, kernel_size=9, stride=8, padding=1),
            nn.SiLU(),
            ConvNorm(half, channels),
        )
        super().__init__(
            setting,
            stem=stem,
            make_block=make_block,
            norm=RMSNorm,
            in_channels=in_channels,
            out_indices=out_indices,
            pretrain_img_size=pretrain_img_size,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.freeze()

    def init_from_scratch(self) -> None:
        super().init_from_scratch()
        for block in self.blocks:
            block.mixer.init_projections()
