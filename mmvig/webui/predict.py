"""What the page answers to an image: picture, words, time, and the figures of an inspection."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from mmvig.apis.inference import Predictor
from mmvig.checks.images import check_image
from mmvig.visualization.inspect.figures import draw
from mmvig.visualization.inspect.model import load_image
from mmvig.visualization.inspect.record import record

MEGABYTES = 10  # of an upload
MEGAPIXELS = 16  # decoded; a small file may hold a huge image
LEAST_WIDTH = 640  # of a picture on the page
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


class Answer(NamedTuple):
    """A picture [Y, X, 3] in RGB (None if there is nothing to show), words, and named figures."""

    picture: np.ndarray | None
    words: str
    figures: Sequence[tuple[np.ndarray, str]] = ()


def complaint(path: str | None) -> str | None:
    """What is wrong with an upload, and what to do; None if nothing is."""
    kinds = ', '.join(suffix[1:] for suffix in SUFFIXES)
    if path is None:
        return 'Expected an image, got none: drop one on the field, then press the button.'
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        return f'Expected an image ({kinds}), got {file.name}.'
    if file.stat().st_size > MEGABYTES * 2**20:
        return f'Expected at most {MEGABYTES} MiB, {file.name} has more: save it smaller.'
    try:
        with Image.open(file) as image:  # reads the header only
            width, height = image.size
    except (OSError, Image.DecompressionBombError):
        return f'{file.name} cannot be read as an image: save it anew as one of {kinds}.'
    if width * height > MEGAPIXELS * 1e6:
        return (
            f'Expected at most {MEGAPIXELS} megapixels, {file.name} has {width}×{height}: scale it '
            'down.'
        )
    try:
        check_image(file)
    except ValueError:
        return f'{file.name} is damaged: save it anew as one of {kinds}.'
    return None


def answer(predictor: Predictor, path: str | None, score_thr: float, inside: bool) -> Answer:
    """Predict an upload and, if `inside` is wanted, draw what goes on in the backbone."""
    if text := complaint(path):
        return Answer(None, text)
    image = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        start = time.perf_counter()
        predictor([image], out, score_thr=score_thr)
        seconds = time.perf_counter() - start
        (picture,) = (out / 'vis').iterdir()
        shown = _enlarge(cv2.imread(str(picture))[..., ::-1])
        words = f'{predictor.task}: {predictor.summary(image, out, score_thr)}'
    words += f'\n\n{seconds:.2f} s on {next(predictor.inferencer.model.parameters()).device}'
    figures = look_inside(predictor, image) if inside else ()
    return Answer(shown, words, figures)


def _enlarge(picture_YXC: np.ndarray) -> np.ndarray:
    """A small picture as a multiple of itself, to be seen on a page."""
    factor = max(1, LEAST_WIDTH // picture_YXC.shape[1])
    return cv2.resize(picture_YXC, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def look_inside(predictor: Predictor, image: Path) -> list[tuple[np.ndarray, str]]:
    """The figures of `python -m mmvig inspect`, as RGB pictures with their names."""
    model = predictor.inferencer.model
    batch_BCYX, picture_YXC = load_image(predictor.cfg, model, image)
    device = next(model.parameters()).device
    found = record(model.backbone, batch_BCYX.to(device))
    figures = []
    for name, figure in draw(picture_YXC, {predictor.task: found}):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        figures.append((np.asarray(canvas.buffer_rgba())[..., :3].copy(), name))
    return figures
