"""Whether a file is an undamaged image, checked before a library reads it."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def check_image(path: str | Path) -> None:
    """Decode a file as the MM libraries do, from its bytes.

    OpenCV's reading from a path is more lenient: it fills what a cut file lacks with grey.

    Raises:
        ValueError: there is no such file, it is empty, or it is no whole image; says which.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'expected an image at {path}, there is no such file')
    content = path.read_bytes()
    if not content:
        raise ValueError(f'expected an image, {path} is an empty file')
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or _is_cut_jpeg(content):
        raise ValueError(
            f'expected a whole image, {path} cannot be read as one: its {len(content)} bytes are '
            'cut short, damaged, or of another kind'
        )


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG file lacks its end, which OpenCV before 4.11 fills with grey here too.

    Bytes after the end are allowed, so Pillow decides where the last ones are no end marker.
    """
    if not content.startswith(b'\xff\xd8') or content.rstrip(b'\0').endswith(b'\xff\xd9'):
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except OSError:
        return True
    return False
