"""Data for detection as found: of each split what a COCO file would say."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmvig.checks.coco import Reading, check_coco
from mmvig.checks.errors import UserError

VAL_SHARE, MOST_VAL = 0.2, 5000


class Part(NamedTuple):
    """A split of data for detection.

    Attributes:
        content: lists `images`, `annotations` and `categories` as in a COCO file.
        images: folder that the file names of the images start from.
        file: the file that holds the content; None if it is to be written.
    """

    content: dict[str, list[dict]]
    images: Path
    file: Path | None = None

    def count_masks(self) -> int:
        """Number of annotations that have one."""
        return sum(bool(entry.get('segmentation')) for entry in self.content['annotations'])


class Parts(NamedTuple):
    """What was found of detection data.

    Attributes:
        form: name of the format, in words.
        train, val: the splits.
        origin: where the splits come from, in words.
        notes: on what was found beside, in words.
    """

    form: str
    train: Part
    val: Part
    origin: str
    notes: list[str]


def choose_splits(parts: Mapping[str, Part], seed: int) -> tuple[Part, Part, str]:
    """The splits to train on and to validate on, and in words where they come from.

    Args:
        parts: by 'train', 'val', 'test' or 'all' for what names no split.
        seed: of the shuffle that makes a split where none is found.

    Raises:
        UserError: there is nothing to train on.
    """
    train = parts.get('train') or parts.get('all')
    if train is None:
        raise UserError(f'expected data to train on, found only those of {", ".join(parts)}')
    for name in ('val', 'test'):
        if name in parts:
            return train, parts[name], f'train and {name} found'
    count = len(train.content['images'])
    held, words = hold_out(count, seed)
    order = list(range(count))
    random.Random(seed).shuffle(order)
    val, rest = set(order[:held]), set(order[held:])
    return _select(train, rest), _select(train, val), words


def hold_out(count: int, seed: int) -> tuple[int, str]:
    """How many of so many images to validate on, and the same in words.

    Raises:
        UserError: there is only one.
    """
    if count < 2:
        raise UserError(f'expected two images or more, one to validate on, found {count}')
    held = min(max(1, round(count * VAL_SHARE)), MOST_VAL)
    return held, f'train and val made, {held} of {count} images held out (shuffle, seed {seed})'


def _select(part: Part, rows: set[int]) -> Part:
    images = [entry for i, entry in enumerate(part.content['images']) if i in rows]
    ids = {entry['id'] for entry in images}
    annotations = [e for e in part.content['annotations'] if e['image_id'] in ids]
    return Part(part.content | dict(images=images, annotations=annotations), part.images)


def used_classes(parts: Parts) -> tuple[list[str], list[str]]:
    """Names of the classes that objects have, and of those that none has.

    Exporters write super-categories as categories too.
    """
    counts = class_counts(parts.train) + class_counts(parts.val)
    names = [entry['name'] for entry in parts.train.content['categories']]
    return [n for n in names if counts[n]], [n for n in names if not counts[n]]


def class_counts(part: Part) -> Counter[str]:
    """Number of annotations by class."""
    names = {entry['id']: entry['name'] for entry in part.content['categories']}
    found = (names.get(entry['category_id']) for entry in part.content['annotations'])
    return Counter(name for name in found if name is not None)


def write_part(part: Part, path: Path) -> Part:
    """The same split with its content in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(part.content, ensure_ascii=False), encoding='utf-8')
    return part._replace(file=path)


def check_part(part: Part, classes: list[str], masks: bool, train: bool) -> list[str]:
    """What `train` will leave out of a split, in words.

    Raises:
        UserError: what it will refuse.
    """
    reading = Reading(classes, with_masks=masks, skip_empty=train, train=train)
    return check_coco(part.file, part.images, reading).notes
