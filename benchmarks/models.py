"""The backbones that are measured side by side: mmvig's, and the alternatives that users have.

`BUILDERS` maps a name to a function that returns the backbone, or None if its package is not
installed. Multi-scale backbones return four feature maps at strides 4 to 32, plain ones return one
at stride 16.
"""

from collections.abc import Callable
from importlib.util import find_spec

from torch import nn

from mmvig.models.backbones import MultiScaleViG, PlainViG


def _swin(depths: tuple[int, ...]) -> nn.Module:
    from mmdet.models import SwinTransformer

    return SwinTransformer(embed_dims=96, depths=depths, num_heads=(3, 6, 12, 24), window_size=7)


def _mmpretrain(name: str, **settings) -> nn.Module:
    import mmpretrain.models

    return getattr(mmpretrain.models, name)(out_indices=(0, 1, 2, 3), **settings)


def _deit(name: str) -> nn.Module | None:
    """timm's DeiT with torch's own attention (SDPA), which is FlashAttention on GPUs."""
    if find_spec('timm') is None:
        return None
    import timm

    return timm.create_model(
        name, features_only=True, out_indices=(-1,), dynamic_img_size=True, pretrained=False
    )


BUILDERS: dict[str, Callable[[], nn.Module | None]] = {
    'vig-tiny': lambda: MultiScaleViG('tiny'),
    'vig-small': lambda: MultiScaleViG('small'),
    'vig-base': lambda: MultiScaleViG('base'),
    'vig-plain-tiny': lambda: PlainViG('tiny'),
    'swin-t': lambda: _swin((2, 2, 6, 2)),
    'swin-s': lambda: _swin((2, 2, 18, 2)),
    'convnext-t': lambda: _mmpretrain('ConvNeXt', arch='tiny', gap_before_final_norm=False),
    'resnet-50': lambda: _mmpretrain('ResNet', depth=50),
    'deit-t': lambda: _deit('deit_tiny_patch16_224'),
    'deit-s': lambda: _deit('deit_small_patch16_224'),
}
OURS = ('vig-tiny', 'vig-small', 'vig-base', 'vig-plain-tiny')
QUADRATIC = ('deit-t', 'deit-s')
