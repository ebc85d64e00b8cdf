"""`stream_features`: the maps of a backbone, and of a neck, for an image of any height."""

from collections.abc import Callable

from torch import Tensor, nn

from .backbones import backbone_maps
from .errors import StreamingError
from .fingerprint import add_image, add_module
from .image import Normalization
from .maps import Map
from .plan import MEMORY_BYTES, Plan
from .pyramids import neck_maps
from .rows import Rows
from .workspace import Workspace


def plan_features(
    backbone: nn.Module,
    image: Rows,
    *,
    neck: nn.Module | None = None,
    normalization: Normalization | None = None,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Plan:
    """What `stream_features` would compute: `needed_bytes` of temporary space, and `outputs`."""
    if backbone.training or (neck is not None and neck.training):
        raise StreamingError('expected a model in eval mode; call model.eval() before')
    normalization = normalization or Normalization()
    plan = Plan(like_of(backbone), strip_rows, memory_bytes)
    plan.identity.update(repr(normalization).encode())
    for module in (backbone, neck):
        if module is not None:
            add_module(plan.identity, module)
    add_image(plan.identity, image)
    plan.outputs = backbone_maps(plan, backbone, image, normalization)
    if neck is not None:
        plan.outputs = neck_maps(neck, plan.outputs)
    return plan


def stream_features(
    backbone: nn.Module,
    image: Rows,
    workspace: Workspace,
    *,
    neck: nn.Module | None = None,
    normalization: Normalization | None = None,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    on_progress: Callable[[float], None] | None = None,
) -> list[Map]:
    """The maps that `neck(backbone(image))` returns, computed by strips of rows.

    Equal to the numbers in memory up to rounding, whatever the strips: the states of the recurrence
    go from strip to strip, so every position sees the whole image.

    Args:
        backbone: of mmvig, in eval mode.
        image: numbers [height, width, channels] of any dtype, of any height and width.
        workspace: holds the stored maps; those returned can be read until it ends.
        neck: mmdet's or mmseg's FPN, or `SimpleFeaturePyramid`. Its maps are not stored but
            computed when read, at little cost from the top to the bottom.
        normalization: applied to the image; None for none.
        strip_rows: rows of a strip of any stored map; None to choose by memory.
        memory_bytes: what the maps of a strip may take, beside the model and Python themselves.
        on_progress: told the part of the work that is done, up to 1.

    Returns:
        list[Map]: `Rows` of shape [Y, X, C] for each map.

    Raises:
        StreamingError: the model or the image cannot be run by strips.
        OSError: the disk is too small, said before anything is computed.
    """
    plan = plan_features(
        backbone,
        image,
        neck=neck,
        normalization=normalization,
        strip_rows=strip_rows,
        memory_bytes=memory_bytes,
    )
    workspace.run(plan, on_progress)
    return plan.outputs


def like_of(module: nn.Module) -> Tensor:
    """A parameter, whose dtype and device the maps have."""
    return next(module.parameters())
