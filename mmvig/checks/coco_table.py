"""The annotations of a COCO file as columns: 860,000 of them are checked in seconds that way."""

from itertools import chain
from operator import itemgetter

import numpy as np

from .coco_file import are_finite


class Table:
    """Columns of the annotations (N of them) of a file whose fields have the right types.

    Attributes:
        entries: the annotations themselves.
        images: the file's images.
        image: row in `images` of each annotation, -1 if there is no such image; [N].
        category: place of its category in the file, -1 if there is none; [N].
        box: x, y, width, height; NaN where it is no four numbers; [N, 4].
        width, height: of its image, NaN if there is none; [N] each.
        area, crowd, ignored: the fields; [N] each.
    """

    def __init__(self, content: dict[str, list[dict]]) -> None:
        self.entries = content['annotations']
        self.images = content['images']
        rows = {entry['id']: i for i, entry in enumerate(self.images)}
        self.image = self._places('image_id', rows)
        places = {entry['id']: i for i, entry in enumerate(content['categories'])}
        self.category = self._places('category_id', places)
        self.box = _boxes([entry['bbox'] for entry in self.entries])
        # The last entry is for annotations of no image, which have the row -1.
        sizes = [(image['width'], image['height']) for image in self.images]
        self.width, self.height = np.array([*sizes, (np.nan, np.nan)], float)[self.image].T
        self.area = np.fromiter(map(itemgetter('area'), self.entries), float, len(self.entries))
        self.crowd = self._flags('iscrowd')
        self.ignored = self._flags('ignore')

    def __len__(self) -> int:
        return len(self.entries)

    def _places(self, key: str, places: dict) -> np.ndarray:
        found = [places.get(entry[key], -1) for entry in self.entries]
        return np.array(found, np.int64)

    def _flags(self, key: str) -> np.ndarray:
        flags = (bool(entry.get(key)) for entry in self.entries)
        return np.fromiter(flags, bool, len(self.entries))


def _boxes(boxes: list[list]) -> np.ndarray:
    """[N, 4]; a box that is no four finite numbers is NaN."""
    whole = set(map(len, boxes)) <= {4} and _are_numbers(list(chain.from_iterable(boxes)))
    if not whole:
        bad = [np.nan] * 4
        boxes = [box if len(box) == 4 and _are_numbers(box) else bad for box in boxes]
    return np.fromiter(chain.from_iterable(boxes), float, 4 * len(boxes)).reshape(-1, 4)


def _are_numbers(values: list) -> bool:
    return set(map(type, values)) <= {int, float} and are_finite(values)
