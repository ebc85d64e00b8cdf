"""Prediction of an upload: picture, text, time, and the figures of an inspection."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmvig.apis.huge_images.choice import check_strips, choose_strips
from mmvig.apis.huge_images.job import Job
from mmvig.apis.huge_images.size import MOST_IN_MEMORY, read_size
from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.apis.tasks import Prediction
from mmvig.checks.errors import UserError
from mmvig.checks.images import check_image
from mmvig.visualization.inspect.figures import draw
from mmvig.visualization.inspect.model import load_image
from mmvig.visualization.inspect.record import record

MAX_MEGABYTES = 10  # of an upload
MAX_MEGAPIXELS = 16  # after decoding; a small file may hold a huge image
MAX_STRIP_MEGAPIXELS = 100  # of images that are predicted by strips, for the time it takes
MIN_WIDTH = 640  # of a picture on the page
MAX_HEIGHT = 4096  # up to which it is enlarged
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


class Answer(NamedTuple):
    """The answer to an upload: picture [Y, X, 3] in RGB or None, text, and named figures."""

    picture: np.ndarray | None
    text: str
    figures: Sequence[tuple[np.ndarray, str]] = ()


def predict_upload(
    predictor: Predictor, path: str | None, score_thr: float, inspect: bool
) -> Answer:
    """Predict an upload and, with `inspect`, draw the figures of its inspection."""
    if error := upload_error(path, _most_megapixels(predictor, path)):
        return Answer(None, error)
    image = Path(path)
    start = time.perf_counter()
    try:
        prediction = _predict(predictor, image, score_thr)
    except ImageError as error:
        return Answer(None, str(error).replace(path, image.name))
    seconds = time.perf_counter() - start
    text = f'{predictor.task}: {predictor.summarize(prediction, score_thr)}'
    text += f'\n\n{seconds:.2f} s on {next(predictor.model.parameters()).device}'
    if not inspect:
        return Answer(_enlarge(prediction.picture_YXC), text)
    if _megapixels(image) > MOST_IN_MEMORY / 1e6:
        text += '\n\nThe inside is drawn of smaller images only.'
        return Answer(_enlarge(prediction.picture_YXC), text)
    return Answer(_enlarge(prediction.picture_YXC), text, inspect_upload(predictor, image))


def _predict(predictor: Predictor, image: Path, score_thr: float) -> Prediction:
    """In memory, or by strips, whose files are gone afterwards."""
    if not choose_strips(predictor, [image], 'auto'):
        (prediction,) = predictor.predict([image], score_thr=score_thr)
        return prediction
    from mmvig.apis.huge_images.predict import predict_huge  # imports rasterio

    with tempfile.TemporaryDirectory() as folder:
        return predict_huge(predictor, Job(image, [], Path(folder, 'maps'), score_thr=score_thr))


def _most_megapixels(predictor: Predictor, path: str | None) -> int:
    if path is None or _megapixels(Path(path)) <= MAX_MEGAPIXELS:
        return MAX_MEGAPIXELS
    try:
        check_strips(predictor)
    except UserError:
        return MAX_MEGAPIXELS
    return MAX_STRIP_MEGAPIXELS


def _megapixels(file: Path) -> float:
    """0 where the header does not tell."""
    height, width = read_size(file) or (0, 0)
    return height * width / 1e6


def upload_error(path: str | None, most_megapixels: int = MAX_MEGAPIXELS) -> str | None:
    """What is wrong with an upload and what to do about it; None if it is fine."""
    kinds = ', '.join(suffix[1:] for suffix in SUFFIXES)
    if path is None:
        return 'Expected an image, got none: drop one on the field, then press the button.'
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        return f'Expected an image ({kinds}), got {file.name}.'
    if file.stat().st_size > MAX_MEGABYTES * 2**20:
        return f'Expected at most {MAX_MEGABYTES} MiB, {file.name} has more: save it smaller.'
    size = read_size(file)  # of the header only
    if size is None:
        return f'{file.name} cannot be read as an image: save it again as one of {kinds}.'
    if _megapixels(file) > most_megapixels:
        height, width = size
        return (
            f'Expected at most {most_megapixels} megapixels, {file.name} has {width}×{height}: '
            'scale it down.'
        )
    if _megapixels(file) > MAX_MEGAPIXELS:
        return None  # strips are checked as they are read
    try:
        check_image(file)
    except ValueError:
        return f'{file.name} is damaged: save it again as one of {kinds}.'
    return None


def inspect_upload(predictor: Predictor, image: Path) -> list[tuple[np.ndarray, str]]:
    """The figures of `python -m mmvig inspect`, as RGB pictures with their names."""
    model = predictor.model
    batch_BCYX, picture_YXC = load_image(predictor.cfg, model, image)
    device = next(model.parameters()).device
    layers = record(model.backbone, batch_BCYX.to(device))
    figures = []
    for name, figure in draw(picture_YXC, {predictor.task: layers}):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        figures.append((np.asarray(canvas.buffer_rgba())[..., :3].copy(), name))
    return figures


def _enlarge(picture_YXC: np.ndarray) -> np.ndarray:
    """A small picture, enlarged by a whole factor."""
    height, width = picture_YXC.shape[:2]
    factor = max(1, min(MIN_WIDTH // width, MAX_HEIGHT // height))
    return cv2.resize(picture_YXC, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
