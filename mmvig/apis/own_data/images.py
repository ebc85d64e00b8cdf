"""Image files of a folder of data: their sizes and kinds, and which of them are damaged."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from mmvig.checks.errors import UserError
from mmvig.checks.images import check_image, lacks_jpeg_end
from mmvig.checks.lists import evenly
from mmvig.checks.problems import Problems, and_more

DECODED = 400  # of a set, evenly spread; a few seconds
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
EXIF_ORIENTATION = 0x0112
KINDS = {'L': 'grey', '1': 'black and white', 'P': 'palette', 'CMYK': 'CMYK'}  # by PIL's modes


class Looked(NamedTuple):
    """What image files are like.

    Attributes:
        kinds: number of images by kind, in words.
        count: number of files.
        decoded: number of those that were tried to be read to their end.
        problems: what is wrong, with examples.
    """

    kinds: Counter[str]
    count: int
    decoded: int
    problems: Problems


def size_of(path: Path) -> tuple[int, int]:
    """Width and height as the MM libraries decode the image, turned as EXIF asks.

    Raises:
        UserError: it is no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(EXIF_ORIENTATION) in TURNED
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f'expected an image at {path}, it cannot be read: {error}') from error
    return (height, width) if turned else (width, height)


def look_at(paths: Sequence[Path], sizes: Sequence[tuple[int, int]] | None = None) -> Looked:
    """Read the heads of image files, and some to the end.

    Args:
        paths: of the files.
        sizes: width and height of each as annotations have them; None if they have none.
    """
    kinds, problems = Counter(), Problems()
    whole = set(evenly(len(paths), DECODED)) if paths else set()
    for i, path in enumerate(paths):
        try:
            size = size_of(path)
        except UserError as error:
            problems.add('unreadable', str(error))
            continue
        if sizes is not None and size != tuple(sizes[i]):
            width, height = sizes[i]
            problems.add(
                'size',
                f'{path} is {size[0]}×{size[1]}, its annotations have {width}×{height}: write the '
                "size of the image as it is decoded, after EXIF's turn",
            )
        kinds[_kind(path)] += 1
        _check_whole(path, i in whole, problems)
    return Looked(kinds, len(paths), len(whole), problems)


def examples(problems: Problems) -> list[str]:
    """One of each kind, and how many more there are."""
    return [words + and_more(problems.counts[kind] - 1) for kind, words in problems.first.items()]


def _check_whole(path: Path, decode: bool, problems: Problems) -> None:
    try:
        if decode:
            check_image(path)
        elif lacks_jpeg_end(path):
            problems.add('unreadable', f'{path} is cut short')
    except ValueError as error:
        problems.add('unreadable', str(error))


def _kind(path: Path) -> str:
    with Image.open(path) as image:
        mode = image.mode
    if mode.startswith('I') or mode == 'F':
        return '16 bits and more, of which the MM libraries keep 8'
    if mode in ('RGBA', 'LA', 'PA'):
        return 'with alpha, which is left out'
    return KINDS.get(mode, 'colour')
