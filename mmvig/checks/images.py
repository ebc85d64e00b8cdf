"""Whether a file is an undamaged image, checked before a library reads it."""

import os
from pathlib import Path

import cv2
import numpy as np

from mmvig.deploy.images import is_cut_jpeg

TAIL = 1024  # bytes at the end of a file in which its end marker is looked for


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
    if decoded is None or is_cut_jpeg(content):
        raise ValueError(
            f'expected a whole image, {path} cannot be read as one: its {len(content)} bytes are '
            'cut short, damaged, or of another kind'
        )


def lacks_jpeg_end(path: str | Path) -> bool:
    """Whether a JPEG file is cut short, at the cost of two short reads for one that is whole.

    Only where its last bytes are no end marker is it read: there may be others after the end.
    """
    with open(path, 'rb') as file:
        start = file.read(2)
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        end = file.read().rstrip(b'\0')
    if start != b'\xff\xd8' or end.endswith(b'\xff\xd9'):
        return False
    return is_cut_jpeg(Path(path).read_bytes())
