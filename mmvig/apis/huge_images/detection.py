"""Boxes and masks of objects in a huge image, by a model of mmdet."""

from logging import WARNING
from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import nn

from mmvig.apis.inference import Predictor
from mmvig.streaming import Workspace
from mmvig.streaming.detection import stream_detection

from .image import RasterImage
from .job import Job, OnProgress
from .overview import reduction


def detect(
    predictor: Predictor,
    image: RasterImage,
    job: Job,
    workspace: Workspace,
    picture_YXC: np.ndarray,
    on_progress: OnProgress | None,
) -> tuple[np.ndarray, dict]:
    """The picture with boxes, and the objects as `Prediction.result` has them.

    Raises:
        StreamingError: the model cannot be run by strips.
        OSError: a disk has not enough space, or a file cannot be written.
    """
    with workspace:
        found = stream_detection(
            predictor.model, image, workspace, channel_order='bgr', scale_limits=job.scale_limits,
            strip_rows=job.strip_rows, on_progress=on_progress,
        )  # fmt: skip
    if not job.scale_limits:
        _note_limit(predictor.model, len(found), job.image)
    result = {name: found[name].tolist() for name in ('labels', 'scores', 'bboxes')}
    if 'masks' in found:
        result['masks'] = found.masks
    factor = reduction(image.shape[:2])
    return _draw(predictor, picture_YXC, found, factor, job.score_thr), result


def _note_limit(model: nn.Module, count: int, image: Path) -> None:
    head = getattr(model, 'roi_head', None) or model.bbox_head
    most = head.test_cfg.get('max_per_img', -1)
    if 0 < most <= count:
        print_log(
            f'{image} has {count} objects, the most that max_per_img of test_cfg allows, which is '
            'meant for photos: --scale-limits lets it grow with the image',
            logger='current',
            level=WARNING,
        )


def _draw(
    predictor: Predictor,
    picture_YXC: np.ndarray,
    found: InstanceData,
    factor: int,
    score_thr: float,
) -> np.ndarray:
    """As mmdet's inferencer does, without masks, each of which would be as large as the picture."""
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = {**predictor.model.dataset_meta, 'classes': predictor.classes}
    boxes = InstanceData(bboxes=found.bboxes / factor, scores=found.scores, labels=found.labels)
    visualizer.add_datasample(
        'huge', picture_YXC, DetDataSample(pred_instances=boxes), draw_gt=False,
        pred_score_thr=score_thr,
    )  # fmt: skip
    return visualizer.get_image()
