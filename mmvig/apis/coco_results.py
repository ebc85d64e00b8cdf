"""Detections in the results form of COCO, which `pycocotools.coco.COCO.loadRes` reads."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmvig.checks.errors import UserError, one_line
from mmvig.messages import join_some

from .names import file_name
from .tasks import Prediction


class CocoIds(NamedTuple):
    """The ids that results carry: by image, and of the classes in the order of the model."""

    images: dict[Path, int]
    categories: list[int]


class CocoResults:
    """Writes detections as they come, all that the model gives, whatever their score.

    Each has `image_id`, `category_id`, `bbox` as x, y, width and height in pixels, `score`, and
    `segmentation` as run lengths if the model has masks.

    Without ids, images are numbered from 1 as they come, and categories from 1 in the order of the
    classes. Then a second file, `found.images.json` beside `found.json`, has `images` (id,
    file_name, width, height) and `categories`: an annotation file of COCO without annotations, with
    which `loadRes` reads the results.

    Args:
        path: of the JSON file.
        names: of the results by image; see `name_results`.
        classes: names of the model's classes.
        ids: from an annotation file; see `read_coco_ids`.
    """

    def __init__(
        self,
        path: Path,
        names: Mapping[Path, str],
        classes: Sequence[str],
        ids: CocoIds | None = None,
    ) -> None:
        self._path = path
        self._names = names
        self._classes = classes
        self._ids = ids
        self._images: list[dict] = []
        self._empty = True
        self._file = path.open('w', encoding='utf-8')
        self._file.write('[')

    def __enter__(self) -> 'CocoResults':
        return self

    def __exit__(self, *error) -> None:
        with self._file:  # valid JSON also if a later image has failed
            self._file.write('\n]\n')
        if self._ids is None:
            categories = [{'id': i, 'name': name} for i, name in enumerate(self._classes, 1)]
            content = {'images': self._images, 'annotations': [], 'categories': categories}
            text = json.dumps(content, ensure_ascii=False, indent=1) + '\n'
            self._path.with_suffix('.images.json').write_text(text, encoding='utf-8')

    def write(self, prediction: Prediction) -> None:
        image_id = self._image_id(prediction)
        result = prediction.result
        masks = result.get('masks') or [None] * len(result['labels'])
        for label, score, (x1, y1, x2, y2), mask in zip(
            result['labels'], result['scores'], result['bboxes'], masks, strict=True
        ):
            detection = {
                'image_id': image_id,
                'category_id': self._ids.categories[label] if self._ids else label + 1,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'score': score,
            }
            if mask is not None:
                detection['segmentation'] = mask
            self._file.write(('\n' if self._empty else ',\n') + json.dumps(detection))
            self._empty = False

    def _image_id(self, prediction: Prediction) -> int:
        path = prediction.image
        if self._ids is not None:
            return self._ids.images[path]
        height, width = prediction.size_YX
        name = file_name(path, self._names[path])
        image = {'id': len(self._images) + 1, 'file_name': name, 'width': width, 'height': height}
        self._images.append(image)
        return image['id']


def read_coco_ids(ann_file: Path, images: Sequence[Path], classes: Sequence[str]) -> CocoIds:
    """The ids that an annotation file gives to images, by file name, and classes, by name.

    Of an annotation file only `images` and `categories` are read. An image fits an entry if its
    path ends in the entry's `file_name`.

    Raises:
        UserError: the file cannot be read, or lacks an image or a class.
    """
    file_names, category_ids = _read(ann_file)
    by_name = defaultdict(list)
    for number, name in file_names.items():
        place = PurePosixPath(name).parts
        by_name[place[-1] if place else ''].append((place, number))
    found: dict[Path, int] = {}
    for path in images:
        parts = Path(os.path.abspath(path)).parts
        fitting = [(x, i) for x, i in by_name[path.name] if parts[-len(x) :] == x]
        if fitting:
            found[path] = max(fitting, key=lambda entry: len(entry[0]))[1]
    _check_images(ann_file, images, found)
    if lacking := [name for name in classes if name not in category_ids]:
        raise UserError(
            f"expected the model's classes among the categories of {ann_file}, it has no "
            f'{join_some(lacking)}; it has {join_some(category_ids)}'
        )
    return CocoIds(found, [category_ids[name] for name in classes])


def _check_images(ann_file: Path, images: Sequence[Path], found: dict[Path, int]) -> None:
    if lacking := [path for path in images if path not in found]:
        raise UserError(
            f'expected every image to be in {ann_file}, it has no file_name for '
            f'{join_some(lacking)}: name only images that it has'
        )
    by_id: dict[int, Path] = {}
    for path, number in found.items():
        if number in by_id:
            raise UserError(
                f'expected a file_name in {ann_file} for each image, one fits both '
                f'{by_id[number]} and {path}'
            )
        by_id[number] = path


def _read(ann_file: Path) -> tuple[dict[int, str], dict[str, int]]:
    """File names by id, and ids of categories by name."""
    wanted = f'expected an annotation file of COCO with images and categories in {ann_file}'
    try:
        content = json.loads(ann_file.read_text(encoding='utf-8-sig'))
        images = {entry['id']: str(entry['file_name']) for entry in content['images']}
        categories = {str(entry['name']): entry['id'] for entry in content['categories']}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{wanted}: {type(error).__name__}: {one_line(error)}') from error
    return images, categories
