"""`stream_segmentation`: labels, and logits, of an image of any height, by rows."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .backbones import backbone_maps
from .errors import StreamingError
from .features import like_of
from .fingerprint import add_image, add_module
from .image import Normalization
from .maps import Map, pixels
from .plan import MEMORY_BYTES, Plan
from .pyramids import neck_maps
from .resizing import Bilinear
from .rows import Rows, RowSink
from .upernet import upernet_logits
from .workspace import Workspace


class Labels(Map):
    """The class of each position, of its logits; [Y, X, 1], uint8 or int32 beyond 256 classes."""

    COPIES = 8

    def __init__(self, logits: Map, threshold: float | None) -> None:
        dtype = torch.uint8 if logits.shape[2] <= 256 else torch.int32
        super().__init__((*logits.shape[:2], 1), dtype, [logits], pixels(logits) * logits.shape[2])
        self.threshold = threshold

    def rows(self, top: int, bottom: int) -> Tensor:
        logits_BYXC = self.sources[0].rows(top, bottom)
        if logits_BYXC.shape[-1] > 1:
            labels_BYX1 = logits_BYXC.argmax(-1, keepdim=True)
        else:
            labels_BYX1 = logits_BYXC.sigmoid() > self.threshold
        return labels_BYX1.to(self.dtype)


def plan_segmentation(
    model: nn.Module,
    image: Rows,
    labels: RowSink | None = None,
    logits: RowSink | None = None,
    *,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    channel_order: str = 'rgb',
) -> Plan:
    """What `stream_segmentation` would compute: `needed_bytes` of temporary space, for example.

    Arguments and errors are those of `stream_segmentation`. Nothing is computed.
    """
    if labels is None and logits is None:
        raise ValueError('expected labels, logits or both to write; got none')
    if model.training:
        raise StreamingError('expected a model in eval mode; call model.eval() before')
    normalization = Normalization.of(model.data_preprocessor, channel_order)
    plan = Plan(like_of(model), strip_rows, memory_bytes)
    plan.identity.update(repr((normalization.reverse, channel_order)).encode())
    add_module(plan.identity, model)
    add_image(plan.identity, image)
    maps = backbone_maps(plan, model.backbone, image, normalization)
    if getattr(model, 'neck', None) is not None:
        maps = neck_maps(model.neck, maps)
    head = model.decode_head
    small = upernet_logits(plan, head, maps)
    if logits is not None:
        small = plan.write(small, 'logits')
    large = Bilinear(small, image.shape[:2], head.align_corners)
    if logits is not None:
        _deliver(plan, large, logits, 'write_logits')
    if labels is not None:
        classes = Labels(large, head.threshold)
        # What a sink was given before a run was killed may be lost: it gets all again, at no cost.
        stored = classes if logits is not None else plan.write(classes, 'labels')
        _deliver(plan, stored, labels, 'write_labels', lambda rows: rows[..., 0])
    return plan


def stream_segmentation(
    model: nn.Module,
    image: Rows,
    labels: RowSink | None,
    workspace: Workspace,
    *,
    logits: RowSink | None = None,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    channel_order: str = 'rgb',
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Segment an image by strips of rows, as mmseg does in one piece (`test_cfg.mode='whole'`).

    Equal to the numbers in memory up to rounding, whatever the strips: every position sees the
    whole image. The image is taken at its own size, without a test pipeline.

    Args:
        model: an mmseg `EncoderDecoder` in eval mode, of a backbone of mmvig, a neck FPN or
            `SimpleFeaturePyramid` or none, and `UPerHead`.
        image: numbers [height, width, channels] of any dtype, of any height and width.
        labels: gets the class of each pixel, rows [n, width] in uint8, or int32 beyond 256 classes.
            None for no labels. All rows come in one run, from the top, also where a killed run is
            gone on with.
        workspace: holds the maps.
        logits: gets the logits at the image's size, rows [n, width, classes].
        strip_rows: rows of a strip of any map; None to choose by memory.
        memory_bytes: what the maps of a strip may take, beside the model and Python themselves.
        channel_order: 'rgb' or 'bgr', that of the image's channels where there are three.
        on_progress: told the part of the work that is done, up to 1.

    Raises:
        StreamingError: the model or the image cannot be run by strips.
        ForeignJournalError: the workspace's folder holds the unfinished run of something else.
        OSError: the disk is too small, said before anything is computed.
    """
    plan = plan_segmentation(
        model,
        image,
        labels,
        logits,
        strip_rows=strip_rows,
        memory_bytes=memory_bytes,
        channel_order=channel_order,
    )
    workspace.run(plan, on_progress)


def _deliver(
    plan: Plan, source: Map, sink: RowSink, name: str, form: Callable = lambda rows: rows
) -> None:
    strips = plan.strips(*source.shape[:2], source)

    def run(step: int) -> None:
        top, bottom = strips[step]
        sink.write(top, form(source.read(top, bottom)))

    plan.add(name, len(strips), run, [source], restarts=True)
