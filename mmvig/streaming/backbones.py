"""The backbones as passes over strips."""

from torch import Tensor, nn

from mmvig.models.backbones import ViR
from mmvig.models.backbones.multi_scale import MultiScaleBackbone
from mmvig.models.backbones.plain import STRIDE, PlainBackbone

from .block import BlockPasses
from .convolution import layer
from .errors import StreamingError
from .image import Image, Normalization
from .maps import Map, Tokenwise
from .plan import Plan
from .rows import Rows


def backbone_maps(
    plan: Plan, backbone: nn.Module, image: Rows, normalization: Normalization
) -> list[Map]:
    """The maps that a backbone returns for an image; its passes are appended to the plan.

    Raises:
        StreamingError: the backbone cannot be run by strips, or does not fit the image.
    """
    if isinstance(backbone, MultiScaleBackbone):
        return _multi_scale(plan, backbone, image, normalization)
    if isinstance(backbone, PlainBackbone):
        return _plain(plan, backbone, image, normalization)
    raise StreamingError(
        f'expected a backbone of mmvig, got {type(backbone).__name__}: others have no strips'
    )


def _multi_scale(
    plan: Plan, backbone: MultiScaleBackbone, image: Rows, normalization: Normalization
) -> list[Map]:
    source = Image(image, normalization, backbone.in_channels, plan.like)
    current = plan.write(layer(source, backbone.stem), 'stem')
    maps = []
    for i, stage in enumerate(backbone.stages):
        for j, block in enumerate(stage.blocks):
            current = BlockPasses(plan, block, current, f'stage{i}.block{j}').output
        if i in backbone.out_indices:
            maps.append(Tokenwise(current, getattr(backbone, f'norm{i}')))
        if i == max(backbone.out_indices):
            break
        current = plan.write(layer(current, stage.downsample), f'stage{i}.downsample')
    return maps


class _Positions(Map):
    """A map with the position embedding added."""

    COPIES = 2

    def __init__(self, source: Map, backbone: PlainBackbone) -> None:
        super().__init__(source.shape, source.dtype, [source])
        self.backbone = backbone

    def rows(self, top: int, bottom: int) -> Tensor:
        positions = self.backbone.positions(*self.shape[:2], slice(top, bottom))
        return self.sources[0].rows(top, bottom) + positions


class _Constant(Map):
    """One position with given channels."""

    def __init__(self, x_C: Tensor) -> None:
        super().__init__((1, 1, len(x_C)), x_C.dtype)
        self.x_C = x_C

    def rows(self, top: int, bottom: int) -> Tensor:
        return self.x_C[None, None, None]


def _plain(
    plan: Plan, backbone: PlainBackbone, image: Rows, normalization: Normalization
) -> list[Map]:
    size = tuple(-(-n // STRIDE) * STRIDE for n in image.shape[:2])
    source = Image(image, normalization, backbone.in_channels, plan.like, size)
    current = plan.write(_Positions(layer(source, backbone.stem), backbone), 'stem')
    token, returns_token = None, False
    if isinstance(backbone, ViR) and backbone.reads_class:
        token = plan.write(_Constant(backbone.cls_token.flatten()), 'class_token')
        returns_token = backbone.out_type == 'cls_token'
    maps = []
    for i in range(backbone.out_indices[-1] + 1):
        passes = BlockPasses(plan, backbone.blocks[i], current, f'block{i}', token)
        current, token = passes.output, passes.token_output
        if i in backbone.out_indices:
            norm = getattr(backbone, backbone._norm_name(i))
            maps.append(Tokenwise(token if returns_token else current, norm))
    return maps
