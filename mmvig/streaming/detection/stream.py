"""`stream_detection`: boxes and masks of an image of any height, by strips and windows."""

from collections.abc import Callable

from mmengine.structures import InstanceData
from torch import nn

from mmvig.streaming.errors import StreamingError
from mmvig.streaming.features import plan_features
from mmvig.streaming.image import Normalization
from mmvig.streaming.plan import MEMORY_BYTES, Plan
from mmvig.streaming.rows import Rows
from mmvig.streaming.storage import StoredMap
from mmvig.streaming.workspace import Workspace

from .dense import DenseHead
from .limits import scaled_limits
from .masks import predict_masks, with_run_lengths
from .padding import padded
from .roi import on_maps

ONE_STAGE = ('RetinaNet', 'SingleStageDetector')
TWO_STAGES = ('FasterRCNN', 'MaskRCNN', 'CascadeRCNN', 'TwoStageDetector')


def plan_detection(
    model: nn.Module,
    image: Rows,
    *,
    scale_limits: bool = False,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    channel_order: str = 'rgb',
) -> Plan:
    """What `stream_detection` would compute: `needed_bytes` of temporary space, for example.

    Arguments and errors are those of `stream_detection`. Nothing is computed.
    """
    return _prepare(model, image, scale_limits, strip_rows, memory_bytes, channel_order)[0]


def stream_detection(
    model: nn.Module,
    image: Rows,
    workspace: Workspace,
    *,
    scale_limits: bool = False,
    strip_rows: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    channel_order: str = 'rgb',
    on_progress: Callable[[float], None] | None = None,
) -> InstanceData:
    """Detect objects as mmdet does in one piece, at the image's own size.

    Equal to what mmdet finds in memory up to rounding, whatever the strips: features see the whole
    image, and the limits and the suppression of overlaps in `test_cfg` are those of the whole. (Of
    equal scores torch takes any first, so there the choice may be another one.) The image is padded
    as the model's data preprocessor says.

    Args:
        model: mmdet's Faster, Mask or Cascade R-CNN or RetinaNet in eval mode, of a backbone of
            mmvig and a neck FPN or `SimpleFeaturePyramid`.
        image: numbers [height, width, channels] of any dtype, of any height and width.
        workspace: holds the maps.
        scale_limits: let `nms_pre` and `max_per_img` of `test_cfg`, which are set for photos, grow
            with the pixels of the image, beyond a photo of 1333×800. By default they are kept.
        strip_rows: rows of a strip of any map; None to choose by memory.
        memory_bytes: what the maps of a strip may take, beside the model and Python themselves.
        channel_order: 'rgb' or 'bgr', that of the image's channels where there are three.
        on_progress: told the part of the work that is done, up to 1.

    Returns:
        `bboxes` [N, 4] in pixels, `scores`, `labels`, and `masks` as dicts of COCO's
            run lengths if the model has a mask head; the best first.

    Raises:
        StreamingError: the model or the image cannot be run by strips.
        ForeignJournalError: the workspace's folder holds the unfinished run of something else.
        OSError: the disk is too small, said before anything is computed.
    """
    plan, heads = _prepare(model, image, scale_limits, strip_rows, memory_bytes, channel_order)
    workspace.run(plan, on_progress)
    return heads.found


class _Heads:
    """The heads of a detector as the steps of a pass: the strips of the dense one, then the rest.

    Attributes:
        found: the objects, after the last step.
    """

    def __init__(
        self, model: nn.Module, maps: list[StoredMap], plan: Plan, size_YX: tuple, scale: bool
    ) -> None:
        def limits(head: nn.Module) -> dict:
            return scaled_limits(head.test_cfg, size_YX[0] * size_YX[1] if scale else 0)

        name = type(model).__name__
        if name not in ONE_STAGE + TWO_STAGES:
            raise StreamingError(
                f'expected a detector {", ".join(TWO_STAGES[:3])} or {ONE_STAGE[0]}, got {name}'
            )
        self._maps, self._roi_head = maps, None
        self._meta = dict(img_shape=size_YX, ori_shape=size_YX, scale_factor=(1.0, 1.0))
        dense = model.rpn_head if name in TWO_STAGES else model.bbox_head
        self.dense = DenseHead(dense, maps, plan, limits(dense))
        if name in TWO_STAGES:
            self._roi_head = on_maps(model.roi_head, maps, plan.memory_bytes)
            self._limits = limits(model.roi_head)
            if model.roi_head.with_mask:
                with_run_lengths(self._roi_head)
        self.steps = len(self.dense.strips) + 1
        self.found: InstanceData | None = None

    def run(self, step: int) -> None:
        if step < len(self.dense.strips):
            self.dense.run(*self.dense.strips[step])
            return
        found = self.dense.result(self._meta)
        head = self._roi_head
        if head is not None:
            (found,) = head.predict_bbox(
                self._maps, [self._meta], [found], rcnn_test_cfg=self._limits, rescale=False
            )
            if head.with_mask:
                found.masks = predict_masks(head, self._maps, self._meta, found)
        self.found = found


def _prepare(
    model: nn.Module,
    image: Rows,
    scale_limits: bool,
    strip_rows: int | None,
    memory_bytes: int,
    channel_order: str,
) -> tuple[Plan, _Heads]:
    if model.training:
        raise StreamingError('expected a model in eval mode; call model.eval() before')
    normalization = Normalization.of(model.data_preprocessor, channel_order)
    plan = plan_features(
        model.backbone,
        padded(image, model.data_preprocessor, normalization),
        neck=getattr(model, 'neck', None),
        normalization=normalization,
        strip_rows=strip_rows,
        memory_bytes=memory_bytes,
    )
    # Regions are read in an order of their own, so what a neck computes when it is read is stored.
    maps = [plan.write(one, f'level{i}') for i, one in enumerate(plan.outputs)]
    plan.outputs = []
    heads = _Heads(model, maps, plan, tuple(image.shape[:2]), scale_limits)
    # Candidates are kept in memory only: a run that goes on begins with the first of them.
    plan.add('heads', heads.steps, heads.run, maps, work=heads.dense.work, restarts=True)
    return plan, heads
