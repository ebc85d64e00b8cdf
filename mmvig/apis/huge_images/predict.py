"""The prediction of one huge image, from its file to results and a reduced picture."""

from logging import WARNING
from pathlib import Path

import torch
from mmengine.logging import print_log

from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.apis.tasks import Prediction
from mmvig.checks.errors import UserError
from mmvig.streaming import StreamingError, Workspace

from .form import read_form
from .image import RasterImage
from .job import Job, OnProgress, claimed
from .overview import as_picture, reduce_image

RAM_BYTES = 2**28  # of temporary maps; if they need more, they are files


@torch.inference_mode()
def predict_huge(
    predictor: Predictor, job: Job, on_progress: OnProgress | None = None
) -> Prediction:
    """Predict an image by strips, at its own size, as it would be predicted in memory.

    That is, of mmseg, in the mode 'whole'. The image is read twice: first to know that it is whole,
    and for the picture.

    Returns:
        Prediction: with a picture reduced to at most `overview.LONGEST_SIDE` pixels a side. A label
            map is reduced by the same factor; boxes and masks of objects are those of the image.

    Raises:
        ImageError: the image cannot be read by rows, is damaged, or has other channels than the
            model takes.
        UserError: the folder holds the files of another job, or one of the model.
        OSError: a disk has not enough space, or a file cannot be written.
    """
    if predictor.task == 'detection':
        from .detection import detect as run  # imports mmdet
    else:
        from .segmentation import segment as run  # imports mmseg
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
        with claimed(job):
            workspace = Workspace(job.folder, resume=True, ram_bytes=RAM_BYTES)
            try:
                drawn_YXC, result = run(predictor, image, job, workspace, picture_YXC, on_progress)
            except StreamingError as error:
                raise UserError(error) from error
        return Prediction(job.image, drawn_YXC, result, image.shape[:2])


def _check_channels(predictor: Predictor, path: Path, image: RasterImage) -> None:
    expected = predictor.model.backbone.in_channels
    if image.shape[2] != expected:
        raise ImageError(
            path,
            f'expected an image of {expected} channels, as in_channels of model.backbone says, '
            f'the test pipeline loads {image.shape[2]} of {path}',
        )
