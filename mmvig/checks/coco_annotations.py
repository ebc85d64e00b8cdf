"""Which annotations of a COCO file mmdet trains on, and what is wrong with the others.

mmdet leaves out in silence what it does not take, and reads past the end of run lengths that are
too short.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from mmvig.messages import join_some

from .coco_file import are_finite
from .coco_table import Table
from .problems import Problems
from .run_lengths import run_problem

# Why annotations are not trained on, for many of them: what to do.
LEFT_OUT = {
    'ignore': 'have ignore: 1 (write 0 for objects to train on)',
    'size': 'cover less than a pixel',
    'no area': 'have area 0 (write width·height, or the pixels of the mask)',
    'points': 'have only polygons of less than three points',
    'runs': 'have run lengths, which poly2mask=False leaves out',
    'crowd': 'have iscrowd: 1 (write 0 for objects to train on)',
    'class': 'are of categories that the config does not name',
    'small': 'lie on images smaller than filter_cfg.min_size',
}
# COCO marks crowds by run lengths, about one in eighty annotations; more than this is no habit.
USUAL_CROWDS = 0.05


class Sieve:
    """The annotations of a file that passed all checks so far.

    Args:
        table: the annotations, N of them.

    Attributes:
        rest: those that are left; [N] of bool.
        problems: what is wrong.
        notes: what mmdet leaves out, in words.
        left_out: number of annotations that it leaves out, by kind (`LEFT_OUT`).
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rest = np.ones(len(table), bool)
        self.problems, self.notes = Problems(), Problems()
        self.left_out = Counter()

    def wrong(self, kind: str, bad: np.ndarray, words: Callable[[dict, dict], str]) -> None:
        """Take out what is bad, with words made of an annotation and its image."""
        rows = np.flatnonzero(bad & self.rest)
        if rows.size:
            entry = self.table.entries[rows[0]]
            image = self.table.images[self.table.image[rows[0]]] if self.table.images else {}
            self.problems.add(kind, f'annotation {entry["id"]}{words(entry, image)}', rows.size)
            self.rest[rows] = False

    def leave_out(self, kind: str, bad: np.ndarray, words: str, tell: bool = True) -> None:
        """Take out what mmdet leaves out."""
        rows = np.flatnonzero(bad & self.rest)
        if rows.size:
            self.left_out[kind] += rows.size
            if tell:
                example = f'annotation {self.table.entries[rows[0]]["id"]}{words}'
                self.notes.add(kind, example, rows.size)
            self.rest[rows] = False


def sift(sieve: Sieve, categories: list[dict], with_masks: bool, poly2mask: bool) -> None:
    """Check each annotation; it is told by the first check that it fails.

    Args:
        sieve: with all annotations; keeps those to train on.
        categories: of the file.
        with_masks: whether masks are read.
        poly2mask: whether mmdet draws polygons into bitmaps; else it takes nothing but polygons.
    """
    table = sieve.table
    x, y, w, h = table.box.T
    sieve.wrong('image', table.image < 0, _no_image)
    known = join_some(entry['id'] for entry in categories)
    sieve.wrong(
        'category',
        table.category < 0,
        lambda entry, image: f' is of category {entry["category_id"]!r}, expected one of {known}',
    )
    sieve.leave_out('ignore', table.ignored, ' is marked ignore and is left out')
    sieve.wrong('box', np.isnan(x), _no_box)
    sieve.wrong('negative', (w < 0) | (h < 0), _negative_box)
    outside = (x >= table.width) | (y >= table.height)
    outside |= ((x + w <= 0) & (w > 0)) | ((y + h <= 0) & (h > 0))
    sieve.wrong('outside', outside, _outside_box)
    sieve.leave_out('size', (w < 1) | (h < 1), ' covers less than a pixel and is left out')
    sieve.leave_out('no area', table.area <= 0, ' has the area 0 and is left out')
    if with_masks:
        _sift_masks(sieve, poly2mask)
    _sift_crowds(sieve)


def _sift_masks(sieve: Sieve, poly2mask: bool) -> None:
    table = sieve.table
    points, runs = np.zeros((2, len(sieve.rest)), bool)
    wide = (table.box[:, 2:].max(1) > 2).tolist()
    for row in np.flatnonzero(sieve.rest).tolist():
        entry = table.entries[row]
        mask = entry.get('segmentation')
        if isinstance(mask, dict):
            image = table.images[table.image[row]]
            words = run_problem(mask, image['height'], image['width'])
            runs[row] = True
        else:
            words = _polygon_problem(mask, wide[row])
        if words:
            sieve.problems.add('mask', f'annotation {entry["id"]}{words}')
            sieve.rest[row] = False
        elif not runs[row] and max(map(len, mask)) < 6:
            points[row] = True
    sieve.leave_out('points', points, ' has only polygons of less than three points and is ignored')
    if not poly2mask:
        sieve.leave_out('runs', runs, ' has run lengths and is left out, as poly2mask=False asks')


def _polygon_problem(mask, wide: bool) -> str | None:
    """What is wrong with a mask that is no dict; `wide` is one of more than two pixels."""
    if not isinstance(mask, list) or not mask:
        return f': expected polygons or run lengths as segmentation, got {mask!r}'
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) % 2 or not are_finite(polygon):
            return f': expected polygons as x, y, x, y …, got {str(polygon)[:60]}'
    first = mask[0]
    if wide and first and first[0] <= 1 and all(max(polygon, default=0) <= 1 for polygon in mask):
        return f': expected polygons in pixels, got {str(first)[:60]}, shares of the image'
    return None


def _sift_crowds(sieve: Sieve) -> None:
    """Crowds are no objects to train on; they are told unless they are as COCO's own."""
    rows = np.flatnonzero(sieve.table.crowd & sieve.rest)
    entries = sieve.table.entries
    usual = all(isinstance(entries[row].get('segmentation'), dict) for row in rows)
    usual &= rows.size <= USUAL_CROWDS * len(entries)
    words = ' is marked iscrowd: 1 and is not trained on'
    sieve.leave_out('crowd', sieve.table.crowd, words, tell=not usual)


def _no_image(entry: dict, image: dict) -> str:
    return f' is of image {entry["image_id"]!r}, there is none'


def _no_box(entry: dict, image: dict) -> str:
    return f': expected a box of four numbers (x, y, width, height), got {str(entry["bbox"])[:60]}'


def _negative_box(entry: dict, image: dict) -> str:
    return f': expected a box (x, y, width, height) of a positive size, got {entry["bbox"]}'


def _outside_box(entry: dict, image: dict) -> str:
    return (
        f': the box {entry["bbox"]} (x, y, width, height) lies outside its image '
        f'{image["file_name"]}, {image["width"]}×{image["height"]}'
    )
