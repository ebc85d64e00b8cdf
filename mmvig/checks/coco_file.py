"""Reading a COCO file: its sections, and the fields of their entries by type.

The rest of the checks, pycocotools and mmdet take these for granted.
"""

import gc
import json
import math
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from mmvig.messages import join_some

from .errors import UserError
from .problems import and_more

SECTIONS = ('images', 'annotations', 'categories')
BYTE_ORDER_MARKS = (b'\xef\xbb\xbf', b'\xff\xfe', b'\xfe\xff')


class Field(NamedTuple):
    """What the values of a field must be: in words, and their types."""

    words: str
    types: tuple[type, ...]


ID = Field('a whole number or a word', (int, float, str))
SIZE = Field('a number of pixels, 1 or more', (int, float))
NUMBER = Field('a number', (int, float))
FLAG = Field('0 or 1', (int, float, bool))
REQUIRED = {
    'images': {
        'id': ID,
        'file_name': Field('a path', (str,)),
        'width': SIZE,
        'height': SIZE,
    },
    'annotations': {
        'id': ID,
        'image_id': ID,
        'category_id': ID,
        'bbox': Field('a box of four numbers (x, y, width, height)', (list,)),
        'area': NUMBER,
    },
    'categories': {'id': ID, 'name': Field('a name', (str,))},
}
OPTIONAL = {'annotations': {'iscrowd': FLAG, 'ignore': FLAG}}


def read_coco(path: Path, labelled: bool = True, train: bool = False) -> dict[str, list[dict]]:
    """The content of a COCO file, whose fields have the right types.

    Args:
        path: of the file.
        labelled: whether it must have annotations; without them the list is empty.
        train: whether it is to train on.

    Raises:
        UserError: it cannot be read, or a section or field is missing or of another type.
    """
    content = read_json(path)
    if isinstance(content, dict) and not labelled and content.get('annotations') is None:
        content['annotations'] = []
    for section in SECTIONS:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise UserError(_wrong_section(path, content, section, train))
        _check_entries(path, section, content[section])
    return content


def read_json(path: Path):
    """The content of a JSON file, as the readers of the hosts read it.

    Raises:
        UserError: it is no JSON in UTF-8 without a byte order mark.
    """
    data = path.read_bytes()
    if data.startswith(BYTE_ORDER_MARKS) and not _is_image(data):
        raise UserError(
            f'expected JSON in UTF-8 without a byte order mark in {path}, it begins with one, '
            'which the readers of the data refuse: save it again as plain UTF-8'
        )
    collects = gc.isenabled()
    gc.disable()  # what is read is no garbage; to search it takes half as long again as to read it
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f'expected JSON in {path}, it cannot be read as that: {error}') from error
    finally:
        if collects:
            gc.enable()


def _is_image(data: bytes) -> bool:
    """Whether what looks like the mark of UTF-16 begins a JPEG file or another one."""
    return data.startswith((b'\xff\xfe', b'\xfe\xff')) and b'\0' not in data[:4]


def _wrong_section(path: Path, content, section: str, train: bool) -> str:
    kind = type(content).__name__
    got = f'a dict with {join_some(content) or "nothing"}' if isinstance(content, dict) else kind
    if isinstance(content, dict) and section in content:
        got += f', where {section} is {_short(content[section])}'
    text = f'expected a COCO file with the lists {", ".join(SECTIONS)} in {path}, got {got}'
    if not train and section == 'annotations' and isinstance(content, dict):
        text += (
            '. Images without annotations can be predicted, not evaluated: set format_only=True '
            'and outfile_prefix in the evaluator'
        )
    return text


def _check_entries(path: Path, section: str, entries: list) -> None:
    """By whole columns, as one question per value of a large set takes seconds."""
    if set(map(type, entries)) - {dict}:
        i = next(i for i, entry in enumerate(entries) if not isinstance(entry, dict))
        raise UserError(
            f'expected each of the {section} of {path} to be a dict, number {i} is '
            f'{_short(entries[i])}'
        )
    for key, field in REQUIRED[section].items():
        try:
            values = list(map(itemgetter(key), entries))
        except KeyError:
            _tell_missing(path, section, entries)
        _check_column(path, section, key, field, values)
    for key, field in OPTIONAL.get(section, {}).items():
        values = [entry.get(key, 0) for entry in entries]
        _check_column(path, section, key, field, values)


def _tell_missing(path: Path, section: str, entries: list[dict]) -> None:
    keys = REQUIRED[section]
    for i, entry in enumerate(entries):
        missing = [key for key in keys if key not in entry]
        if missing:
            raise UserError(
                f'expected {", ".join(keys)} in each of the {section} of {path}, number {i} has '
                f'no {", ".join(missing)}'
            )


def _check_column(path: Path, section: str, key: str, field: Field, values: list) -> None:
    fits = not set(map(type, values)) - set(field.types)
    if fits and field in (SIZE, NUMBER):
        fits = are_finite(values) and (field is NUMBER or min(values, default=1) >= 1)
    if fits:
        return
    wrong = [i for i, value in enumerate(values) if not _fits(value, field)]
    raise UserError(
        f'expected {key} of each of the {section} of {path} to be {field.words}, number '
        f'{wrong[0]} has {_short(values[wrong[0]])}{and_more(len(wrong) - 1)}'
    )


def _fits(value, field: Field) -> bool:
    if type(value) not in field.types:  # a bool is an int, but no number of pixels
        return False
    if field not in (SIZE, NUMBER):
        return True
    return are_finite([value]) and (field is NUMBER or value >= 1)


def are_finite(values: Iterable) -> bool:
    """Whether all are finite numbers: by their sum, as each of a large set takes a minute."""
    try:
        return math.isfinite(sum(values))
    except (TypeError, OverflowError):
        return False


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}…'
