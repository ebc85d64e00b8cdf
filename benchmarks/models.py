"""The backbones that are measured side by side: mmvig's, and the alternatives that users have.

`BUILDERS` maps a name to a function that returns the backbone, or None if its package is not
installed. Multi-scale backbones return four feature maps at strides 4 to 32, plain ones return one
at stride 16. Names that end in `+onednn` have the linear layers that mmvig's own have, which go to
oneDNN where that is faster.
"""

from collections.abc import Callable
from importlib.util import find_spec

from torch import Tensor, nn

from mmvig.models.backbones import MultiScaleViG, PlainViG
from mmvig.ops.linear import Linear


def _swin(depths: tuple[int, ...]) -> nn.Module | None:
    if find_spec('mmdet') is None:
        return None
    from mmdet.models import SwinTransformer

    return SwinTransformer(embed_dims=96, depths=depths, num_heads=(3, 6, 12, 24), window_size=7)


class TorchvisionSwin(nn.Module):
    """torchvision's Swin-T as a backbone with a norm for each map, as mmdet's has."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import swin_t

        self.features = swin_t().features
        self.norms = nn.ModuleList(nn.LayerNorm(96 << i) for i in range(4))

    def forward(self, image_BCYX: Tensor) -> list[Tensor]:
        x, maps = image_BCYX, []
        for i, part in enumerate(self.features):  # patches or merging, then blocks, by turns
            x = part(x)
            if i % 2:
                maps.append(self.norms[i // 2](x).permute(0, 3, 1, 2).contiguous())
        return maps


def _torchvision_swin() -> nn.Module | None:
    return None if find_spec('torchvision') is None else TorchvisionSwin()


def _mmpretrain(name: str, **settings) -> nn.Module | None:
    if find_spec('mmpretrain') is None:
        return None
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


def _with_our_linear(model: nn.Module | None) -> nn.Module | None:
    """A model whose linear layers are mmvig's: what is left of a ratio to it is not theirs."""
    if model is not None:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.__class__ = Linear  # which has no state of its own
    return model


def _convnext() -> nn.Module | None:
    return _mmpretrain('ConvNeXt', arch='tiny', gap_before_final_norm=False)


BUILDERS: dict[str, Callable[[], nn.Module | None]] = {
    'vig-nano': lambda: MultiScaleViG('nano'),
    'vig-tiny': lambda: MultiScaleViG('tiny'),
    'vig-small': lambda: MultiScaleViG('small'),
    'vig-base': lambda: MultiScaleViG('base'),
    'vig-plain-tiny': lambda: PlainViG('tiny'),
    'swin-t': lambda: _swin((2, 2, 6, 2)),
    'swin-s': lambda: _swin((2, 2, 18, 2)),
    'swin-t-torchvision': _torchvision_swin,
    'swin-t+onednn': lambda: _with_our_linear(_swin((2, 2, 6, 2)) or _torchvision_swin()),
    'convnext-t': _convnext,
    'convnext-t+onednn': lambda: _with_our_linear(_convnext()),
    'resnet-50': lambda: _mmpretrain('ResNet', depth=50),
    'deit-t': lambda: _deit('deit_tiny_patch16_224'),
    'deit-s': lambda: _deit('deit_small_patch16_224'),
}
OURS = ('vig-nano', 'vig-tiny', 'vig-small', 'vig-base', 'vig-plain-tiny')
SWIN_T = ('swin-t', 'swin-t-torchvision')  # what ratios are taken to: the first that is there
QUADRATIC = ('deit-t', 'deit-s')
