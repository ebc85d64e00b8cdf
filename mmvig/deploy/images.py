"""Images from files and into files, as the MM libraries read and write them."""

from pathlib import Path

import cv2
import numpy as np


def read_image(path: str | Path) -> np.ndarray:
    """A file's image, BGR uint8 [Y, X, 3], turned as its EXIF orientation says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no whole image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'expected an image at {path}, there is no such file')
    content = path.read_bytes()
    if not content:
        raise ValueError(f'expected an image, {path} is an empty file')
    # From its bytes: reading from a path fills with grey what a cut file lacks.
    try:
        image_YXC = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # such as more pixels than OpenCV takes
        image_YXC = None
    if image_YXC is None or is_cut_jpeg(content):
        raise ValueError(
            f'expected a whole image, {path} cannot be read as one: its {len(content)} bytes are '
            'cut short, damaged, or of another kind'
        )
    return image_YXC


def is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG's data lack their end marker; OpenCV before 4.11 fills with grey in silence.

    The segments before the data are skipped by their lengths, as a small preview among them has an
    end marker of its own.
    """
    if not content.startswith(b'\xff\xd8'):
        return False
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == 0xFF:  # a fill byte
            place += 1
        elif content[place + 1] == 0xDA:  # start of the data
            return b'\xff\xd9' not in content[place:]
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
    return False  # no such structure, so decoding tells


def check_array(image_YXC: np.ndarray) -> np.ndarray:
    """An image given as an array, as it is.

    Raises:
        ValueError: it is not of the kind that `read_image` gives.
    """
    if image_YXC.dtype != np.uint8 or image_YXC.ndim != 3 or image_YXC.shape[2] != 3:
        raise ValueError(
            f'expected images as paths or as BGR uint8 arrays [rows, columns, 3], got '
            f'{image_YXC.dtype} {list(image_YXC.shape)}'
        )
    if not image_YXC.size:
        raise ValueError(f'expected an image with pixels, got {list(image_YXC.shape)}')
    return image_YXC


def write_image(image_YXC: np.ndarray, path: Path) -> None:
    """Write a BGR or grey image in the format of the path's ending; the folder is made.

    Raises:
        ValueError: OpenCV does not know the ending.
        OSError: it cannot be written, for example as the disk is full; OpenCV's own function is
            silent about that.
    """
    try:
        _, content = cv2.imencode(path.suffix, image_YXC)
    except cv2.error as error:
        raise ValueError(
            f'expected a name that ends in .jpg, .png or the like, got {path.name}'
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.tobytes())
