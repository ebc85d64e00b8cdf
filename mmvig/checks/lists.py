"""Lists of images and of classes, one a line, which the hosts split without a look.

An empty line is an image without a name to them, and a word for a label ends in a message that
names neither the file nor the line.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .coco_file import BYTE_ORDER_MARKS
from .errors import UserError
from .files import ExistingFiles
from .problems import and_more

LOOKED_FOR = 10_000  # images of a list; a wrong folder is wrong for all of them


def read_list(path: Path, words: str) -> list[str]:
    """The lines of a file.

    Args:
        path: of the file.
        words: for what is on each line.

    Raises:
        UserError: it is no text in UTF-8, has no lines, or an empty one.
    """
    data = path.read_bytes()
    if data.startswith(BYTE_ORDER_MARKS):
        raise UserError(
            f'expected {words} on each line of {path} from its first byte, it begins with a byte '
            'order mark: save it again as plain UTF-8'
        )
    try:
        lines = data.decode().replace('\r\n', '\n').replace('\r', '\n').split('\n')
    except UnicodeDecodeError as error:
        raise UserError(f'expected {words} on each line of {path}, as UTF-8: {error}') from error
    lines = lines[:-1] if lines[-1] == '' else lines
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if empty:
        raise UserError(
            f'expected {words} on each line of {path}, line {empty[0]} is empty'
            f'{and_more(len(empty) - 1)}: remove it'
        )
    if not lines:
        raise UserError(f'expected {words} on each line of {path}, it is an empty file')
    return lines


def check_labels(
    path: Path, lines: list[str], classes: Sequence[str] | None, count: int | None
) -> None:
    """Each line is an image and its label, a number, as mmpretrain's `CustomDataset` reads it.

    Args:
        path: of the list.
        lines: of it.
        classes: names of the classes, None if they are not known.
        count: number of classes, None if it is not known.

    Raises:
        UserError: a line is not; names it.
    """
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(' ')
        if not name:
            raise UserError(
                f'expected an image, a space and its label on each line of {path}, line {number} '
                f'is {line!r}'
            )
        try:
            value = int(label)
        except ValueError:
            place = (
                f', {list(classes).index(label)} for this one' if label in (classes or ()) else ''
            )
            raise UserError(
                f'expected an image, a space and its label on each line of {path}, line {number} '
                f'has the label {label!r}: write the number of the class, counted from 0{place}'
            ) from None
        if value < 0 or (count is not None and value >= count):
            most = f' … {count - 1} for {count} classes' if count else ' or more'
            raise UserError(
                f'expected labels 0{most} in {path}, line {number} has {value}: count the classes '
                'from 0'
            )


def check_listed_images(path: Path, folder: Path, names: Sequence[str]) -> None:
    """The images of a list exist; of a long one, `LOOKED_FOR` evenly spread ones are looked for.

    Raises:
        UserError: one does not.
    """
    existing = ExistingFiles()
    for i in evenly(len(names), LOOKED_FOR):
        if folder / names[i] not in existing:
            raise UserError(
                f'expected the image {folder / names[i]} of line {i + 1} of {path}, there is no '
                'such file'
            )


def evenly(count: int, most: int) -> list[int]:
    """At most `most` indices below `count`, evenly spread and in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist()
