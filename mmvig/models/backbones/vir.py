"""ViR (arXiv 2310.19731), a vision transformer with retention, as an OpenMMLab backbone."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mmvig.models.layers.block import Block
from mmvig.models.layers.conv import ConvNorm, to_nchw
from mmvig.models.layers.mlp import MLP
from mmvig.models.layers.retention import Retention
from mmvig.registry import MODELS

from .plain import STRIDE, PlainBackbone

MODES = ('autoregressive', 'bidirectional')
OUT_TYPES = ('featmap', 'cls_token')


@MODELS.register_module()
class ViR(PlainBackbone):
    """Vision retention network: a map at stride 16, or the class token, after the final norm.

    Patches of 16×16 with learned positions, the class token after them, blocks of LayerNorm,
    retention, LayerScale and a GELU MLP of four times the width. Retention has three forms with
    equal numbers; `mmvig.models.layers.retention` has them, and says where the authors' published
    code departs from the paper. Here the paper's formula is built, without softmax. No weights have
    been published.

    In autoregressive mode a token reads only those before it in raster order, and `step` takes one
    or a few tokens at a time in constant memory. Detection and segmentation want the bidirectional
    mode. An image whose sides are no multiples of 16 is padded with zeros at its right and lower
    border. The maps are contiguous NCHW tensors.

    Args:
        arch (str | dict): 'nano' (for CPUs, ours), 'tiny', 'small', 'base', 'large', or a dict with
            `channels`, `depth` and `heads`. Defaults to 'tiny'.
        in_channels (int): Channels of the image. Defaults to 3.
        mode (str): 'autoregressive' or 'bidirectional'. Defaults to 'autoregressive'.
        form (str): 'chunkwise', 'parallel' or 'recurrent'. Defaults to 'chunkwise', whose cost is
            linear in the tokens.
        out_type (str): 'featmap' for maps, 'cls_token' for the class token [B, C], which
            classification heads read. Defaults to 'featmap'.
        out_indices (Sequence[int], optional): Blocks whose outputs are returned, from 0, each with
            its own norm. Defaults to None: the last block.
        pretrain_img_size (int): Side of the images that the position embedding was learned on; it
            is resized (bicubic) to any other. Defaults to 224.
        frozen_stages (int): 0 freezes the stem and the embeddings, n also the first n blocks with
            their output norms; -1 nothing. Defaults to -1.
        drop_path_rate (float): Stochastic depth of the last block; grows linearly from 0.
            Defaults to 0.
        layer_scale_init_value (float): Initial factor on each residual. Defaults to 1e-5.
        with_cp (bool): Recompute each block in the backward pass instead of keeping its
            activations. Defaults to False.
        op_backend (str): Backend of `mmvig.kernels.bi_gla`. Defaults to 'auto'.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=FILE_OR_URL)` loads the file
            of an MM runner; `prefix` picks a part of a larger model. Defaults to None: random
            weights.

    Attributes:
        out_channels (tuple[int]): Width of each output.
        out_strides (tuple[int]): Stride of each map.
    """

    ARCHS = {
        'nano': dict(channels=128, depth=6, heads=4),
        'tiny': dict(channels=192, depth=12, heads=3),
        'small': dict(channels=384, depth=12, heads=6),
        'base': dict(channels=768, depth=12, heads=12),
        'large': dict(channels=1024, depth=24, heads=16),
    }

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        mode: str = 'autoregressive',
        form: str = 'chunkwise',
        out_type: str = 'featmap',
        out_indices: Sequence[int] | None = None,
        pretrain_img_size: int = 224,
        frozen_stages: int = -1,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        with_cp: bool = False,
        op_backend: str = 'auto',
        init_cfg: dict | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'expected mode to be one of {", ".join(MODES)}; got {mode!r}')
        if out_type not in OUT_TYPES:
            raise ValueError(
                f'expected out_type to be one of {", ".join(OUT_TYPES)}; got {out_type!r}'
            )
        setting = self.resolve_arch(arch)
        channels = setting['channels']
        bidirectional = mode == 'bidirectional'
        norm = partial(nn.LayerNorm, eps=1e-6)

        def make_block(drop_path: float) -> Block:
            mixer = Retention(channels, setting['heads'], bidirectional, form, op_backend)
            mlp = MLP(channels, 4 * channels)
            return Block(channels, mixer, mlp, norm, drop_path, layer_scale_init_value)

        super().__init__(
            setting,
            stem=ConvNorm(in_channels, channels, STRIDE, STRIDE, padding=0, norm=nn.Identity),
            make_block=make_block,
            norm=norm,
            in_channels=in_channels,
            out_indices=out_indices,
            pretrain_img_size=pretrain_img_size,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.mode = mode
        self.out_type = out_type
        # Autoregressive maps do not use the class token; it is kept so that checkpoints load.
        self.reads_class = bidirectional or out_type == 'cls_token'
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels), requires_grad=self.reads_class)
        self.freeze()

    def init_from_scratch(self) -> None:
        super().init_from_scratch()
        nn.init.normal_(self.cls_token, std=1e-6)

    def to_blocks(self, x_BYXC: Tensor) -> Tensor:
        """The tokens in raster order and, where an output depends on it, the class token last."""
        x_BTC = x_BYXC.flatten(1, 2)
        if not self.reads_class:
            return x_BTC
        return torch.cat([x_BTC, self.cls_token.expand(x_BTC.shape[0], -1, -1)], dim=1)

    def to_output(self, x_BTC: Tensor, rows: int, columns: int) -> Tensor:
        if self.out_type == 'cls_token':
            return x_BTC[:, -1]
        return to_nchw(x_BTC[:, : rows * columns].unflatten(1, (rows, columns)))

    def step(self, states: list[Tensor] | None, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The next tokens through all blocks, in memory that does not grow with those before them.

        The tokens are those of `to_blocks(embed(image))`, one after the other or in parts of any
        length; the outputs those of the last block after the final norm.

        Args:
            states: None before the first token, then what the last call returned: one state
                [B, H, K, V] for each block.
            x: one token [B, C], or the next T of them [B, T, C], which need `torch.no_grad()`.

        Returns:
            tuple[list[Tensor], Tensor]: the next states, and the outputs, in the shape of x.

        Raises:
            ValueError: the backbone is bidirectional, or returns no output of the last block.
            RuntimeError: gradients of several tokens would be recorded.
        """
        if not hasattr(self, 'norm'):
            raise ValueError(
                f'expected out_indices with the last block, {len(self.blocks) - 1}, whose final '
                f'norm `step` needs; got {self.out_indices}'
            )
        following = []
        for block, state in zip(self.blocks, states or [None] * len(self.blocks), strict=True):
            state, x = block.step(state, x)
            following.append(state)
        return following, self.norm(x)

    def freezable_parts(self) -> Iterator[list[nn.Module | nn.Parameter]]:
        stem, *blocks = super().freezable_parts()
        yield [*stem, self.cls_token]
        yield from blocks
