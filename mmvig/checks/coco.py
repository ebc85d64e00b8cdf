"""Checks of a COCO annotation file before training: mmdet skips silently what it does not expect.

It drops annotations of unknown categories, counts labels in the order of the file whatever the
config says, and reads past the end of run lengths that are too short.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmvig.messages import join_some

from .errors import UserError
from .files import ExistingFiles

SECTIONS = ('images', 'annotations', 'categories')
KEYS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}


class Problems:
    """What is wrong, one example of each kind and their number."""

    def __init__(self) -> None:
        self.counts: Counter = Counter()
        self.first: dict[str, str] = {}

    def add(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.first.setdefault(kind, example)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        return '; '.join(
            self.first[kind] + (f' (and {count - 1} more such)' if count > 1 else '')
            for kind, count in self.counts.items()
        )


class Labels(NamedTuple):
    """What an annotation is checked against: images by id, names of categories by id."""

    images: dict[object, dict]
    categories: dict[object, str]


def check_coco(
    path: Path,
    images: Path | None,
    classes: Sequence[str] | None,
    with_masks: bool,
    train: bool,
) -> list[str]:
    """Check a COCO file before mmdet reads it.

    Args:
        path: of the file.
        images: folder that its file names start from; None if they are not to be looked for.
        classes: of the data set, in the order of the labels.
        with_masks: whether masks are read.
        train: whether images without annotations are left out, so that there must be others.

    Returns:
        list[str]: what mmdet leaves out and a user may want to know.

    Raises:
        UserError: what is wrong, each kind with its first example.
    """
    content = _read(path)
    problems, notes = Problems(), Problems()
    labels = Labels(
        _index(content['images'], 'image', problems),
        {entry['id']: entry['name'] for entry in content['categories']},
    )
    if classes is not None:
        _check_classes(path, list(classes), list(labels.categories.values()))
    if images is not None:
        _check_image_files(images, [entry['file_name'] for entry in content['images']], problems)
    _index(content['annotations'], 'annotation', problems)
    kept = 0
    for annotation in content['annotations']:
        kind, words = _first_problem(annotation, labels, with_masks)
        if kind:
            (notes if kind in NOTES else problems).add(
                kind, f'annotation {annotation["id"]}{words}'
            )
        if kind in KEPT:
            kept += classes is None or labels.categories[annotation['category_id']] in classes
    if problems:
        raise UserError(f'{path}: {problems}')
    if train and not kept:
        names = join_some(classes or labels.categories.values())
        raise UserError(
            f'{path}: expected annotations of {names}, there are none, so every image would be '
            'left out'
        )
    return [f'{path}: {notes}'] if notes else []


def _read(path: Path) -> dict[str, list[dict]]:
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f'expected JSON in {path}, it cannot be read as that: {error}') from error
    kind = type(content).__name__
    got = f'a dict with {join_some(content)}' if isinstance(content, dict) else kind
    for section in SECTIONS:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise UserError(
                f'expected a COCO file with the lists {", ".join(SECTIONS)} in {path}, got {got}'
            )
        for i, entry in enumerate(content[section]):
            missing = [key for key in KEYS[section] if key not in entry]
            if missing:
                raise UserError(
                    f'expected {", ".join(KEYS[section])} in each of the {section} of {path}, '
                    f'number {i} has no {", ".join(missing)}'
                )
    return content


def _index(entries: list[dict], kind: str, problems: Problems) -> dict[object, dict]:
    """Entries by their id."""
    by_id: dict = {}
    for entry in entries:
        if entry['id'] in by_id:
            problems.add(f'{kind} id', f'the {kind} id {entry["id"]!r} comes more than once')
        by_id[entry['id']] = entry
    return by_id


def _check_classes(path: Path, classes: list[str], names: list[str]) -> None:
    """mmdet numbers labels in the order of the file, and ignores names that the file lacks."""
    absent = [name for name in classes if name not in names]
    if absent:
        raise UserError(
            f'expected the classes of the config in {path}, it has no {join_some(absent)}; its '
            f'categories are {join_some(names)}. Name them by metainfo=dict(classes=…)'
        )
    in_file = [name for name in names if name in classes]
    if in_file != classes:
        raise UserError(
            f'expected the classes in the order of {path}, as mmdet counts labels by it: '
            f'{join_some(in_file)}; got {join_some(classes)}. Change metainfo.classes'
        )


def _check_image_files(folder: Path, names: list[str], problems: Problems) -> None:
    existing = ExistingFiles()
    for name in names:
        path = folder / name
        if path not in existing:
            problems.add('file', f'expected the image {path}, there is no such file')


def _first_problem(
    annotation: dict, labels: Labels, with_masks: bool
) -> tuple[str, str] | tuple[None, None]:
    """The first check that an annotation fails, and the words for it after 'annotation N'."""
    for kind, check in CHECKS.items() if with_masks else BOX_CHECKS.items():
        if words := check(annotation, labels):
            return kind, words
    return None, None


def _image_problem(annotation: dict, labels: Labels) -> str | None:
    image_id = annotation['image_id']
    return None if image_id in labels.images else f' is of image {image_id!r}, there is none'


def _category_problem(annotation: dict, labels: Labels) -> str | None:
    category = annotation['category_id']
    if category in labels.categories:
        return None
    return f' is of category {category!r}, expected one of {join_some(labels.categories)}'


def _box_problem(annotation: dict, labels: Labels) -> str | None:
    box, image = annotation['bbox'], labels.images[annotation['image_id']]
    if not isinstance(box, list) or len(box) != 4 or not _are_numbers(box):
        return f': expected a box of four numbers (x, y, width, height), got {box!r}'
    x, y, width, height = box
    if width < 0 or height < 0:
        return f': expected a box (x, y, width, height) of a positive size, got {box}'
    if x >= image['width'] or y >= image['height'] or x + width < 0 or y + height < 0:
        return (
            f': the box {box} (x, y, width, height) lies outside its image {image["file_name"]}, '
            f'{image["width"]}×{image["height"]}'
        )
    return None


def _size_problem(annotation: dict, labels: Labels) -> str | None:
    if min(annotation['bbox'][2:]) < 1 or annotation['area'] <= 0:
        return ' covers less than a pixel and is left out'
    return None


def _mask_problem(annotation: dict, labels: Labels) -> str | None:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return _run_problem(mask, labels.images[annotation['image_id']])
    if not isinstance(mask, list) or not mask:
        return f': expected polygons or run lengths as segmentation, got {mask!r}'
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) % 2 or not _are_numbers(polygon):
            return f': expected polygons as x, y, x, y …, got {str(polygon)[:60]}'
    return None


def _area_problem(annotation: dict, labels: Labels) -> str | None:
    mask = annotation['segmentation']
    if isinstance(mask, list) and all(len(polygon) < 6 for polygon in mask):
        return ' has only polygons of less than three points and is ignored'
    return None


# In this order, as each relies on those before it; an annotation is told by the first it fails.
BOX_CHECKS = {
    'image': _image_problem,
    'category': _category_problem,
    'box': _box_problem,
    'size': _size_problem,
}
CHECKS = BOX_CHECKS | {'mask': _mask_problem, 'area': _area_problem}
NOTES = ('size', 'area')  # mmdet copes with these
KEPT = (None, 'mask', 'area')  # checks that leave an annotation's box to train on


def _are_numbers(values: list) -> bool:
    """By their sum, as testing each coordinate of a large set takes a minute."""
    try:
        return math.isfinite(sum(values))
    except TypeError:
        return False


def _run_problem(mask: dict, image: dict) -> str | None:
    size, counts = mask.get('size'), mask.get('counts')
    expected = [image['height'], image['width']]
    if size != expected:
        return f': expected run lengths of the size of the image, {expected}, got {size}'
    runs = _decode(counts) if isinstance(counts, str) else counts
    numbers = isinstance(runs, list) and runs and _are_numbers(runs) and min(runs) >= 0
    if not numbers or sum(runs) != size[0] * size[1]:
        got = f'a sum of {sum(runs)}' if numbers else repr(counts)[:60]
        return f': expected run lengths of {size[0]}·{size[1]} pixels in all, got {got}'
    return None


def _decode(text: str) -> list[int] | None:
    """Run lengths from COCO's compressed form: 5 bits a character, differences from the third on.

    https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c, rleFrString.
    """
    bits = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    if not bits.size or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        return None
    last = (bits & 32) == 0
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(bits.size) - np.repeat(starts, np.diff([*starts, bits.size]))
    if place.max() > 10:
        return None
    runs = np.add.reduceat((bits & 31) << (5 * place), starts)
    negative = (bits[last] & 16) > 0
    runs -= np.where(negative, 1 << (5 * (place[last] + 1)), 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs.tolist()
