"""The multi-scale ViG backbone (ViG-H of arXiv 2405.18425) as an OpenMMLab backbone."""

from collections.abc import Sequence

from mmvig.models.layers.block import Block
from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.mlp import GatedMLP
from mmvig.registry import MODELS

from .multi_scale import MultiScaleBackbone


@MODELS.register_module()
class MultiScaleViG(MultiScaleBackbone):
    """Multi-scale ViG: feature maps at strides 4, 8, 16 and 32 of an image of any size.

    Sizes are ⌈n/2⌉ at each halving, so odd ones work, down to one pixel. The maps are contiguous
    NCHW tensors.

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
        def make_block(sizes: dict, index: int, drop_path: float) -> Block:
            channels = sizes['channels']
            return Block(
                channels,
                mixer=GatedLinearAttention2d(channels, sizes['heads'], backend=op_backend),
                mlp=GatedMLP(channels, sizes['hidden']),
                drop_path=drop_path,
            )

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
