"""Whether a file is an undamaged image, checked before a library reads it."""

from pathlib import Path

import cv2
import numpy as np


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
    if cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None:
        raise ValueError(
            f'expected a whole image, {path} cannot be read as one: its {len(content)} bytes are '
            'cut short, damaged, or of another kind'
        )
