"""What the tags of a TIFF file say, without decoding a pixel."""

import warnings
from pathlib import Path
from typing import NamedTuple

from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Tags

from mmvig.apis.images import ImageError
from mmvig.checks.errors import one_line

MAGIC = (b'II*\0', b'MM\0*', b'II+\0')  # the last is BigTIFF's, which Pillow knows in this order
WIDTH, HEIGHT, ORIENTATION, EXTRA_SAMPLES = 256, 257, 274, 338
PIECES = ((273, 279), (324, 325))  # offsets and byte counts of strips, and of tiles
UNASSOCIATED_ALPHA = 2


class TiffHeader(NamedTuple):
    """The first page of a TIFF file.

    `orientation` is 1 for an image that is stored as it is seen. `multiplies_alpha` tells whether
    colors are to be multiplied by alpha, as libtiff does for OpenCV. `missing_pieces` counts the
    strips or tiles that no bytes are stored for, and `end` is where the last stored one ends.
    """

    size_YX: tuple[int, int]
    orientation: int
    multiplies_alpha: bool
    missing_pieces: int
    end: int


def read_header(path: Path) -> TiffHeader | None:
    """The header of a TIFF file; None for a file of another kind.

    Raises:
        ImageError: it is a TIFF file whose tags cannot be read.
    """
    with path.open('rb') as file:
        start = file.read(8)
        if start[:4] not in MAGIC:
            return None
        if start[2] == 43:
            start += file.read(8)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # of single tags that nothing here needs
                tags = Tags(start)
                file.seek(tags.next)
                tags.load(file)
                return _header(tags)
        except Exception as error:  # broken tags fail in many ways
            raise ImageError(
                path,
                f'expected a whole image, {path} cannot be read as one: its TIFF tags are cut '
                f'short or damaged ({one_line(error)})',
            ) from error


def check_complete(path: Path) -> TiffHeader | None:
    """As `read_header`, of a file that holds all its strips or tiles: a cut one is known at once.

    Raises:
        ImageError: it does not, or the tags cannot be read.
    """
    header = read_header(path)
    size = path.stat().st_size
    if header and header.end > size:
        raise ImageError(
            path,
            f'expected a whole image, {path} is cut short: it has {size} bytes, its data end at '
            f'{header.end}',
        )
    return header


def _header(tags: Tags) -> TiffHeader:
    offsets, counts = next((_numbers(tags, pair) for pair in PIECES if pair[0] in tags), ((), ()))
    pieces = [(offset, count) for offset, count in zip(offsets, counts, strict=False) if count]
    return TiffHeader(
        size_YX=(int(tags[HEIGHT]), int(tags[WIDTH])),
        orientation=int(tags.get(ORIENTATION, 1)),
        multiplies_alpha=UNASSOCIATED_ALPHA in tags.get(EXTRA_SAMPLES, ()),
        missing_pieces=len(offsets) - len(pieces),
        end=max((offset + count for offset, count in pieces), default=0),
    )


def _numbers(tags: Tags, names: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tags[name]) for name in names)
