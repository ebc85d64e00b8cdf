"""The prediction of one huge image, from its file to label images and a reduced picture."""

import errno
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from logging import WARNING
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.apis.tasks import Prediction
from mmvig.checks.errors import UserError
from mmvig.streaming import RowSink, StreamingError, Workspace, stream_segmentation

from .form import read_form
from .image import RasterImage
from .job import Job, LabelFile, claimed
from .labels import LabelTiff
from .overview import ReducedLabels, as_picture, reduce_image

OnProgress = Callable[[float], None]  # told which part of the work is done, up to 1
RAM_BYTES = 2**28  # of temporary maps; if they need more, they are files


@torch.inference_mode()
def predict_huge(
    predictor: Predictor, job: Job, on_progress: OnProgress | None = None
) -> Prediction:
    """Predict an image by strips, at its own size, as mmseg's mode 'whole' does in memory.

    The image is read twice: first to know that it is whole, and for the picture.

    Returns:
        Prediction: with picture and label map reduced by one factor, to at most
            `overview.LONGEST_SIDE` pixels a side.

    Raises:
        ImageError: the image cannot be read by rows, is damaged, or has other channels than the
            model takes.
        UserError: the folder holds the files of another job, or one of the model.
        OSError: a disk has not enough space, or a file cannot be written.
    """
    form = read_form(predictor.cfg)
    with RasterImage(job.image, form) as image:
        _check_channels(predictor, job.image, image)
        if image.drops_last:
            print_log(
                f'the last band of {job.image} is not read, as LoadImageFromFile takes colors or '
                'gray',
                logger='current',
                level=WARNING,
            )
        picture_YXC = as_picture(reduce_image(image), form)
        reduced = ReducedLabels(image.shape[:2])
        with claimed(job):
            _stream(predictor, image, job, reduced, on_progress)
        labels_YX = reduced.joined()
        drawn_YXC = _draw(predictor, picture_YXC, labels_YX)
        return Prediction(job.image, drawn_YXC, labels_YX, image.shape[:2])


def _stream(
    predictor: Predictor,
    image: RasterImage,
    job: Job,
    reduced: ReducedLabels,
    on_progress: OnProgress | None,
) -> None:
    size_YX = image.shape[:2]
    palette = predictor.model.dataset_meta.get('palette')
    with ExitStack() as stack:
        sink = _Several([reduced])
        for file in job.labels:
            _check_disk(file, size_YX)
            writer = LabelTiff(file.path, size_YX, file.dtype, file.first, palette, image)
            sink.sinks.append(stack.enter_context(writer))
        workspace = Workspace(job.folder, resume=True, ram_bytes=RAM_BYTES)
        try:
            stream_segmentation(
                predictor.model, image, sink, stack.enter_context(workspace), channel_order='bgr',
                strip_rows=job.strip_rows, on_progress=on_progress,
            )  # fmt: skip
        except StreamingError as error:
            raise UserError(error) from error


class _Several:
    """Gives rows to several sinks."""

    def __init__(self, sinks: list[RowSink]) -> None:
        self.sinks = sinks

    def write(self, top: int, rows: np.ndarray) -> None:
        for sink in self.sinks:
            sink.write(top, rows)


def _check_channels(predictor: Predictor, path: Path, image: RasterImage) -> None:
    expected = predictor.model.backbone.in_channels
    if image.shape[2] != expected:
        raise ImageError(
            path,
            f'expected an image of {expected} channels, as in_channels of model.backbone says, '
            f'the test pipeline loads {image.shape[2]} of {path}',
        )


def _check_disk(file: LabelFile, size_YX: tuple[int, int]) -> None:
    """For labels that do not compress."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    needed = size_YX[0] * size_YX[1] * np.dtype(file.dtype).itemsize
    free = shutil.disk_usage(file.path.parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f'expected {needed / 2**30:.2f} GiB of free disk space for a label image, got '
            f'{free / 2**30:.2f} GiB',
            str(file.path),
        )


def _draw(predictor: Predictor, picture_YXC: np.ndarray, labels_YX: np.ndarray) -> np.ndarray:
    """As `Segmentation.draw`, without its inferencer."""
    if picture_YXC.size == 3:  # mmseg takes the mask of a single pixel as an index
        return picture_YXC
    visualizer = SegLocalVisualizer(alpha=0.5)
    visualizer.set_dataset_meta(**predictor.model.dataset_meta)
    data = torch.from_numpy(labels_YX[None].astype(np.int64))
    sample = SegDataSample(pred_sem_seg=PixelData(data=data))
    visualizer.add_datasample('huge', picture_YXC, sample, draw_gt=False)
    return visualizer.get_image()
