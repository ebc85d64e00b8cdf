"""Checks of a COCO annotation file before training: mmdet skips silently what it does not expect.

It drops annotations of unknown categories, counts labels in the order of the file whatever the
config says, and trains on no object that is marked as a crowd or has no area.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmvig.messages import join_some

from .coco_annotations import LEFT_OUT, Sieve, sift
from .coco_boxes import check_box_form
from .coco_classes import check_categories
from .coco_file import read_coco
from .coco_table import Table
from .errors import UserError
from .files import ExistingFiles
from .problems import Problems


class Reading(NamedTuple):
    """How mmdet reads a file, as its data set in the config says.

    Attributes:
        classes: of the data set, in the order of the labels; None if they are not known.
        with_masks: whether masks are read.
        poly2mask: whether polygons become bitmaps; else only polygons are read.
        min_size: images of a smaller side are left out.
        skip_empty: whether images without annotations are left out.
        labelled: whether annotations are needed.
        train: whether the file is to train on; else predictions are compared with it.
    """

    classes: Sequence[str] | None = None
    with_masks: bool = False
    poly2mask: bool = True
    min_size: float = 0
    skip_empty: bool = False
    labelled: bool = True
    train: bool = False


class Found(NamedTuple):
    """What a file holds.

    Attributes:
        path: of the file.
        classes: names of the classes that are read from it.
        labelled: whether it has annotations, or needs some.
        notes: what mmdet leaves out and a user may want to know.
        trained: number of objects to train on, by class.
        left_out: number of annotations that are not trained on, by kind (`LEFT_OUT`).
    """

    path: Path
    classes: list[str]
    labelled: bool
    notes: list[str]
    trained: Counter
    left_out: Counter


def check_coco(path: Path, images: Path | None, reading: Reading) -> Found:
    """Check a COCO file before mmdet reads it.

    Args:
        path: of the file.
        images: folder that its file names start from; None if they are not to be looked for.
        reading: how mmdet reads it.

    Raises:
        UserError: what is wrong, each kind with its first example; or no image is left.
    """
    content = read_coco(path, reading.labelled, reading.train)
    categories = content['categories']
    counts = Counter(entry['category_id'] for entry in content['annotations'])
    check_categories(path, reading.classes, categories, counts)
    sieve = Sieve(Table(content))
    _check_ids(content['images'], 'image', sieve.problems)
    if images is not None:
        _check_image_files(images, content['images'], sieve.problems)
    _check_ids(content['annotations'], 'annotation', sieve.problems)
    check_box_form(path, sieve.table)
    sift(sieve, categories, reading.with_masks, reading.poly2mask)
    if sieve.problems:
        raise UserError(f'{path}: {sieve.problems}')
    _leave_out_classes(sieve, categories, reading.classes)
    _leave_out_images(path, sieve, reading)
    trained = Counter(categories[place]['name'] for place in sieve.table.category[sieve.rest])
    classes = list(reading.classes or dict.fromkeys(entry['name'] for entry in categories))
    # An image whose only annotation is a crowd, or too small, still counts as one with objects.
    none = not trained and not sieve.left_out.keys() - {'class', 'small'}
    if reading.skip_empty and none:
        raise UserError(
            f'{path}: expected annotations of {join_some(classes)}, '
            f'{why_nothing([sieve.left_out])}, so every image would be left out'
        )
    if not reading.train:
        _note_zero_id(sieve)
    notes = [f'{path}: {sieve.notes}'] if sieve.notes else []
    labelled = reading.labelled or bool(content['annotations'])
    return Found(path, classes, labelled, notes, trained, sieve.left_out)


def why_nothing(left_out: Iterable[Counter]) -> str:
    """Why no annotation of some files is left to train on, in words.

    Args:
        left_out: of each file, see `Found`.
    """
    kinds = sum(left_out, Counter())
    if not kinds:
        return 'there are none'
    return f'none of the {kinds.total()} is left: ' + ', '.join(
        f'{count} {LEFT_OUT[kind]}' for kind, count in kinds.items()
    )


def _check_ids(entries: list[dict], kind: str, problems: Problems) -> None:
    ids = [entry['id'] for entry in entries]
    if len(set(ids)) < len(ids):
        for i, count in Counter(ids).items():
            if count > 1:
                words = f'the {kind} id {i!r} comes more than once'
                problems.add(f'{kind} id', words, count - 1)


def _check_image_files(folder: Path, entries: list[dict], problems: Problems) -> None:
    existing = ExistingFiles()
    for entry in entries:
        path = folder / entry['file_name']
        if path not in existing:
            problems.add('file', f'expected the image {path}, there is no such file')


def _leave_out_classes(sieve: Sieve, categories: list[dict], classes: Sequence[str] | None) -> None:
    if classes is None:
        return
    other = np.array([entry['name'] not in classes for entry in categories], bool)
    names = join_some(entry['name'] for entry in categories if entry['name'] not in classes)
    words = f' is of a category that the config does not name ({names}) and is left out'
    if len(sieve.table):
        sieve.leave_out('class', other[sieve.table.category], words)


def _leave_out_images(path: Path, sieve: Sieve, reading: Reading) -> None:
    """Leave out what lies on images that mmdet leaves out.

    Raises:
        UserError: it leaves out all images.
    """
    table = sieve.table
    sides = np.array([min(entry['width'], entry['height']) for entry in table.images], float)
    small = sides < reading.min_size
    if not table.images:
        raise UserError(f'expected images in {path}, there are none')
    if small.all():
        raise UserError(
            f'expected images of at least filter_cfg.min_size={reading.min_size} pixels in '
            f'{path}, all {small.size} are smaller, the largest by its smaller side has '
            f'{sides.max():.0f}: set filter_cfg.min_size of the data set lower'
        )
    if small.any():
        name = table.images[np.argmax(small)]['file_name']
        words = f'the image {name} is smaller than filter_cfg.min_size={reading.min_size} and is '
        sieve.notes.add('image', f'{words}left out', int(small.sum()))
    if len(table):
        sieve.leave_out('small', small[table.image], '', tell=False)


def _note_zero_id(sieve: Sieve) -> None:
    """pycocotools takes the id 0 for no match: https://github.com/cocodataset/cocoapi/issues/507."""
    if any(entry['id'] == 0 for entry in sieve.table.entries):
        sieve.notes.add(
            'zero',
            'an annotation has the id 0, whose detection pycocotools counts as wrong: count the '
            'ids from 1',
        )
