"""Image files as models are given them: whole, and of files with several pictures the first."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmvig.checks.errors import one_line
from mmvig.checks.images import check_image

# An image for a model: a file that its library loads, or its pixels [Y, X, 3], BGR in uint8.
ModelInput = Path | np.ndarray

ANIMATED = ('GIF', 'WEBP')  # OpenCV before 4.12 does not read all of them
WITH_PAGES = (*ANIMATED, 'PNG', 'TIFF')


class ImageError(ValueError):
    """An image or video that cannot be read or prepared: which, and why, in one line."""

    def __init__(self, image: ModelInput, message: str) -> None:
        super().__init__(message)
        self.image = image


def load(path: Path) -> ModelInput:
    """What a model is given of an image file: its path, or the first picture of an animation.

    The MM libraries load files as they did for training: they turn images as EXIF asks, leave out
    alpha, and reduce 16 bits to 8.

    Raises:
        ImageError: there is no such file, or it is no whole image.
    """
    kind, pictures = _kind(path)
    if kind == 'GIF' or (kind in ANIMATED and pictures > 1):
        return _first_picture(path)
    try:
        check_image(path)
    except (ValueError, cv2.error, Image.DecompressionBombError) as error:
        raise ImageError(path, one_line(error)) from error
    return path


def count_pictures(path: Path) -> int:
    """The frames of an animation or the pages of a TIFF file; 1 for other files."""
    return _kind(path)[1]


def to_rgb(image: ModelInput) -> np.ndarray:
    """The pixels that a model was given, to draw on: [Y, X, 3], RGB in uint8."""
    if isinstance(image, Path):
        content = np.frombuffer(image.read_bytes(), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1])


def _kind(path: Path) -> tuple[str | None, int]:
    """Format and number of pictures by the file's header; (None, 1) where Pillow cannot tell."""
    try:
        with Image.open(path) as image:
            pictures = getattr(image, 'n_frames', 1) if image.format in WITH_PAGES else 1
            return image.format, pictures
    except Exception:  # broken files fail in many ways; `check_image` says how
        return None, 1


def _first_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
    except Exception as error:  # as above
        raise ImageError(
            path, f'expected a whole image, {path} cannot be read as one: {one_line(error)}'
        ) from error
