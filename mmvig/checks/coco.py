"""A COCO annotation file, looked at before training: mmdet leaves out what it does not understand.

It drops annotations of unknown categories, counts labels in the order of the file whatever the
config says, and reads run lengths of a wrong length as whatever is in memory.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmvig.messages import join_some

from .errors import UserError

SECTIONS = ('images', 'annotations', 'categories')
KEYS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}


class Findings:
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


def check_coco(
    path: Path,
    images: Path | None,
    classes: Sequence[str] | None,
    with_masks: bool,
    train: bool,
) -> list[str]:
    """Look through a COCO file before mmdet reads it.

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
    findings, notes = Findings(), Findings()
    by_id = _index(content['images'], 'image', findings)
    names = {entry['id']: entry['name'] for entry in content['categories']}
    if classes is not None:
        _check_classes(path, list(classes), list(names.values()))
    if images is not None:
        _check_files(images, [entry['file_name'] for entry in content['images']], findings)
    _index(content['annotations'], 'annotation', findings)
    kept = 0
    for annotation in content['annotations']:
        image = by_id.get(annotation['image_id'])
        this = f'annotation {annotation["id"]}'
        if image is None:
            findings.add('image', f'{this} is of image {annotation["image_id"]!r}, there is none')
        elif annotation['category_id'] not in names:
            findings.add(
                'category',
                f'{this} is of category {annotation["category_id"]!r}, expected one of '
                f'{join_some(names)}',
            )
        elif complaint := _box_complaint(annotation['bbox'], image):
            findings.add('box', f'{this}: {complaint}')
        elif min(annotation['bbox'][2:]) < 1 or annotation['area'] <= 0:
            notes.add('small', f'{this} covers less than a pixel and is left out')
        else:
            kept += classes is None or names[annotation['category_id']] in classes
            complaint = _mask_complaint(annotation, image) if with_masks else None
            if complaint:
                findings.add('mask', f'{this}: {complaint}')
            elif with_masks and _is_line(annotation['segmentation']):
                notes.add('line', f'{this} has only polygons of less than three points, is ignored')
    if findings:
        raise UserError(f'{path}: {findings}')
    if train and not kept:
        raise UserError(
            f'{path}: expected annotations of {join_some(classes or names.values())}, there are none, '
            'so every image would be left out'
        )
    return [f'{path}: {notes}'] if notes else []


def _read(path: Path) -> dict[str, list[dict]]:
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f'expected JSON in {path}, it cannot be read as that: {error}') from error
    found = (
        f'a dict with {join_some(content)}' if isinstance(content, dict) else type(content).__name__
    )
    for section in SECTIONS:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise UserError(
                f'expected a COCO file with the lists {", ".join(SECTIONS)} in {path}, got {found}'
            )
        for i, entry in enumerate(content[section]):
            missing = [key for key in KEYS[section] if key not in entry]
            if missing:
                raise UserError(
                    f'expected {", ".join(KEYS[section])} in each of the {section} of {path}, '
                    f'number {i} has no {", ".join(missing)}'
                )
    return content


def _index(entries: list[dict], what: str, findings: Findings) -> dict:
    """Entries by their number."""
    by_id: dict = {}
    for entry in entries:
        if entry['id'] in by_id:
            findings.add(f'twice {what}', f'the {what} id {entry["id"]!r} comes more than once')
        by_id[entry['id']] = entry
    return by_id


def _check_classes(path: Path, wanted: list[str], names: list[str]) -> None:
    """mmdet numbers labels in the order of the file, and passes over names it does not have."""
    absent = [name for name in wanted if name not in names]
    if absent:
        raise UserError(
            f'expected the classes of the config in {path}, it has no {join_some(absent)}; its '
            f'categories are {join_some(names)}. Name them by metainfo=dict(classes=…)'
        )
    in_file = [name for name in names if name in wanted]
    if in_file != wanted:
        raise UserError(
            f'expected the classes in the order of {path}, for mmdet counts labels by it: '
            f'{join_some(in_file)}; got {join_some(wanted)}. Change metainfo.classes'
        )


def _check_files(folder: Path, names: list[str], findings: Findings) -> None:
    """By listings of folders: a question per file is slow on network disks."""
    listed: dict[Path, set[str]] = {}
    for name in names:
        path = folder / name
        if path.parent not in listed:
            there = path.parent.iterdir() if path.parent.is_dir() else ()
            listed[path.parent] = {entry.name for entry in there}
        if path.name not in listed[path.parent]:
            findings.add('file', f'expected the image {path}, there is no such file')


def _box_complaint(box, image: dict) -> str | None:
    if not isinstance(box, list) or len(box) != 4 or not _are_numbers(box):
        return f'expected a box of four numbers (x, y, width, height), got {box!r}'
    x, y, width, height = box
    if width < 0 or height < 0:
        return f'expected a box (x, y, width, height) of a positive size, got {box}'
    if x >= image['width'] or y >= image['height'] or x + width < 0 or y + height < 0:
        return (
            f'the box {box} (x, y, width, height) lies outside its image {image["file_name"]}, '
            f'{image["width"]}×{image["height"]}'
        )
    return None


def _mask_complaint(annotation: dict, image: dict) -> str | None:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return _runs_complaint(mask, image)
    if not isinstance(mask, list) or not mask:
        return f'expected polygons or run lengths as segmentation, got {mask!r}'
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) % 2 or not _are_numbers(polygon):
            return f'expected polygons as x, y, x, y …, got {str(polygon)[:60]}'
    return None


def _are_numbers(values: list) -> bool:
    """By their sum: a look at each coordinate of a large set takes a minute."""
    try:
        return math.isfinite(sum(values))
    except TypeError:
        return False


def _is_line(mask: dict | list) -> bool:
    return isinstance(mask, list) and all(len(polygon) < 6 for polygon in mask)


def _runs_complaint(mask: dict, image: dict) -> str | None:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [image['height'], image['width']]:
        return (
            f'expected run lengths of the size of the image, {[image["height"], image["width"]]}, '
            f'got {size}'
        )
    runs = _decode(counts) if isinstance(counts, str) else counts
    numbers = isinstance(runs, list) and runs and _are_numbers(runs) and min(runs) >= 0
    if not numbers or sum(runs) != size[0] * size[1]:
        got = f'a sum of {sum(runs)}' if numbers else repr(counts)[:60]
        return f'expected run lengths of {size[0]}·{size[1]} pixels in all, got {got}'
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
