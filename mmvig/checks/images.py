"""Whether a file is an undamaged image, checked before a library reads it."""

import os
from pathlib import Path

from mmvig.deploy.images import is_cut_jpeg, read_image

TAIL = 1024  # bytes at the end of a file in which its end marker is looked for


def check_image(path: str | Path) -> None:
    """Decode a file as the MM libraries do, from its bytes.

    OpenCV's reading from a path is more lenient: it fills what a cut file lacks with grey.

    Raises:
        ValueError: there is no such file, it is empty, or it is no whole image; says which.
    """
    try:
        read_image(path)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error


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
