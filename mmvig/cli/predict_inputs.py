"""Which files `predict` looks for, and what is said of those that it cannot predict."""

import math
from collections.abc import Sequence
from logging import WARNING
from pathlib import Path

from mmengine.logging import print_log

from mmvig.apis.huge_images.size import MOST_IN_MEMORY, count_pixels
from mmvig.apis.images import ImageError, count_pictures, load
from mmvig.apis.names import WRITABLE
from mmvig.apis.video import VIDEO_SUFFIXES, Video, is_video
from mmvig.checks.errors import UserError
from mmvig.messages import join_some

SUFFIXES = {*WRITABLE, *VIDEO_SUFFIXES, '.gif', '.pgm', '.ppm'}  # looked for in folders


def check_any_readable(files: Sequence[Path], strips: str) -> None:
    """There is something to predict: said before a model is built for it.

    Huge images count as readable if their header is, as whoever predicts them checks them whole.

    Args:
        files: paths.
        strips: the option --strips.

    Raises:
        UserError: no file can be read.
    """
    errors = []
    for path in files:
        try:
            _read(path, strips)
        except ImageError as error:
            errors.append(error)
        else:
            return
    raise UserError(describe(errors))


def _read(path: Path, strips: str) -> None:
    most = {'auto': MOST_IN_MEMORY, 'always': 0, 'never': math.inf}[strips]
    if is_video(path):
        Video(path)
    elif count_pixels(path) <= most:
        load(path)


def describe(errors: Sequence[ImageError]) -> str:
    """What is wrong with the first file, and the names of the others."""
    others = [error.image for error in errors[1:]]
    return str(errors[0]) + (f'; nor can {join_some(others)} be read' if others else '')


def note_pictures(images: Sequence[Path]) -> None:
    """Say of which files only the first picture was predicted."""
    counts = {path: count_pictures(path) for path in images}
    several = [f'{path} (of {count})' for path, count in counts.items() if count > 1]
    if several:
        print_log(
            f'only the first picture was predicted of {join_some(several)}; as a video, all frames '
            'of an animation are',
            logger='current',
            level=WARNING,
        )
