"""Prediction of an upload: picture, text, time, and the figures of an inspection."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.checks.images import check_image
from mmvig.visualization.inspect.figures import draw
from mmvig.visualization.inspect.model import load_image
from mmvig.visualization.inspect.record import record

MAX_MEGABYTES = 10  # of an upload
MAX_MEGAPIXELS = 16  # after decoding; a small file may hold a huge image
MIN_WIDTH = 640  # of a picture on the page
MAX_HEIGHT = 4096  # up to which it is enlarged
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


class Answer(NamedTuple):
    """The answer to an upload: picture [Y, X, 3] in RGB or None, text, and named figures."""

    picture: np.ndarray | None
    text: str
    figures: Sequence[tuple[np.ndarray, str]] = ()


def predict_upload(
    predictor: Predictor, path: str | None, score_thr: float, inspect: bool
) -> Answer:
    """Predict an upload and, with `inspect`, draw the figures of its inspection."""
    if error := upload_error(path):
        return Answer(None, error)
    image = Path(path)
    start = time.perf_counter()
    try:
        (prediction,) = predictor.predict([image], score_thr=score_thr)
    except ImageError as error:
        return Answer(None, str(error).replace(path, image.name))
    seconds = time.perf_counter() - start
    text = f'{predictor.task}: {predictor.summarize(prediction, score_thr)}'
    text += f'\n\n{seconds:.2f} s on {next(predictor.model.parameters()).device}'
    figures = inspect_upload(predictor, image) if inspect else ()
    return Answer(_enlarge(prediction.picture_YXC), text, figures)


def upload_error(path: str | None) -> str | None:
    """What is wrong with an upload and what to do about it; None if it is fine."""
    kinds = ', '.join(suffix[1:] for suffix in SUFFIXES)
    if path is None:
        return 'Expected an image, got none: drop one on the field, then press the button.'
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        return f'Expected an image ({kinds}), got {file.name}.'
    if file.stat().st_size > MAX_MEGABYTES * 2**20:
        return f'Expected at most {MAX_MEGABYTES} MiB, {file.name} has more: save it smaller.'
    try:
        with Image.open(file) as image:  # reads the header only
            width, height = image.size
    except (OSError, Image.DecompressionBombError):
        return f'{file.name} cannot be read as an image: save it again as one of {kinds}.'
    if width * height > MAX_MEGAPIXELS * 1e6:
        return (
            f'Expected at most {MAX_MEGAPIXELS} megapixels, {file.name} has {width}×{height}: '
            'scale it down.'
        )
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
