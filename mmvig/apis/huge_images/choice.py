"""Which images are predicted by strips, and why some cannot be."""

from collections.abc import Sequence
from importlib.util import find_spec
from logging import WARNING
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmvig.apis.inference import Predictor
from mmvig.checks.errors import UserError
from mmvig.messages import join_some
from mmvig.streaming import ArrayRows, ArraySink, StreamingError, plan_segmentation

from .form import keeps_size, read_form
from .size import MOST_IN_MEMORY, MOST_WITHOUT_STRIPS, count_pixels, format_size

STRIPS = ('auto', 'always', 'never')
TASKS = ('segmentation', 'detection')


def choose_strips(predictor: Predictor, images: Sequence[Path], strips: str) -> list[Path]:
    """Those of the images that are to be predicted by strips.

    Args:
        predictor: the model.
        images: paths.
        strips: 'auto' for those of more than `MOST_IN_MEMORY` pixels, if model and test pipeline
            allow it; 'always' or 'never'.

    Raises:
        UserError: 'always', and model or pipeline do not allow it; 'auto', and they do not for an
            image of more than `MOST_WITHOUT_STRIPS` pixels.
    """
    if strips == 'never':
        return []
    if strips == 'always':
        check_strips(predictor)
        return list(images)
    if predictor.task not in TASKS or _resizes_for_detection(predictor):
        return []
    sizes = {path: count_pixels(path) for path in images}
    large = [path for path, pixels in sizes.items() if pixels > MOST_IN_MEMORY]
    if not large:
        return []
    try:
        check_strips(predictor)
        _check_mode(predictor)
    except UserError as reason:
        if all(pixels <= MOST_WITHOUT_STRIPS for pixels in sizes.values()):
            print_log(
                f'{join_some(large)} of more than {format_size(MOST_IN_MEMORY)} is predicted in '
                f'memory, not by strips: {reason}',
                logger='current',
                level=WARNING,
            )
            return []
        largest = max(sizes, key=sizes.get)
        raise UserError(
            f'{largest} has {format_size(sizes[largest])}, more than is held in memory '
            f'({format_size(MOST_WITHOUT_STRIPS)}; --strips never tries to), and is not predicted '
            f'by strips: {reason}'
        ) from reason
    return large


def check_strips(predictor: Predictor) -> None:
    """Model and test pipeline allow strips, and rasterio is there to read images by rows.

    Raises:
        UserError: says what stands in the way, and what to do.
    """
    if predictor.task not in TASKS:
        raise UserError(
            f'expected a model of mmseg or mmdet for strips, got {predictor.task}, which is '
            'predicted in memory'
        )
    if find_spec('rasterio') is None:
        raise UserError(
            'images are read by strips with rasterio, which is not installed: pip install -e '
            "'.[huge]', or pip install rasterio"
        )
    read_form(predictor.cfg)
    channels = getattr(predictor.model.backbone, 'in_channels', 3)
    some_image = ArrayRows(np.zeros((64, 64, channels), np.uint8))
    try:
        if predictor.task == 'detection':
            from mmvig.streaming.detection import plan_detection  # imports what mmdet needs

            plan_detection(predictor.model, some_image)
        else:
            plan_segmentation(predictor.model, some_image, ArraySink())
    except StreamingError as error:
        raise UserError(error) from error


def _resizes_for_detection(predictor: Predictor) -> bool:
    """As most pipelines of mmdet do, which bounds the memory that images of any size take."""
    steps = predictor.cfg.test_dataloader.dataset.pipeline
    return predictor.task == 'detection' and not all(map(keeps_size, steps))


def _check_mode(predictor: Predictor) -> None:
    """Without being asked, nothing is predicted in another way than the config says."""
    test_cfg = predictor.cfg.model.get('test_cfg') or {}
    if predictor.task == 'segmentation' and test_cfg.get('mode', 'whole') != 'whole':
        raise UserError(
            "its config slides windows (model.test_cfg.mode='slide'); --strips always predicts it "
            'as a whole'
        )
