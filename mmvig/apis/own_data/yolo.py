"""Data in the form of YOLO: a text file of boxes, or of polygons, for each image."""

from pathlib import Path, PurePosixPath

import yaml

from mmvig.checks.errors import UserError
from mmvig.checks.lists import read_list

from .folder import Folder, split_of
from .images import size_of
from .parts import Part, Parts, choose_splits

NAME_LISTS = ('classes.txt', 'obj.names', 'labels.txt', '_darknet.labels')


def find_yolo(folder: Folder, seed: int) -> Parts | None:
    """The label files of a folder with their images; None if it has none.

    Each line is a class, counted from 0, and a box (its centre, width and height) or a polygon
    (x, y, x, y …), as shares of the image.

    Raises:
        UserError: a line is broken, a class has no name, or there are no images.
    """
    texts = {str(p): p for p in folder.with_suffix('.txt') if p.name not in NAME_LISTS}
    pairs = [(image, texts.get(str(_label_path(image)))) for image in folder.images()]
    if not any(label for _, label in pairs):
        return None
    names = _class_names(folder)
    contents: dict[str, dict[str, list]] = {}
    highest = -1
    for image, label in pairs:
        content = contents.setdefault(split_of(image) or 'all', {'images': [], 'annotations': []})
        highest = max(highest, _add(content, folder.root, image, label, names))
    if names is None:
        names = [f'class_{i}' for i in range(highest + 1)]
    categories = [{'id': i, 'name': name} for i, name in enumerate(names)]
    parts = {
        split: Part(content | {'categories': categories}, folder.root)
        for split, content in contents.items()
    }
    train, val, origin = choose_splits(parts, seed)
    bare = sum(label is None for _, label in pairs)
    notes = [f'{bare} images without a label file, which count as empty'] if bare else []
    return Parts('YOLO', train, val, origin, notes)


def _label_path(image: PurePosixPath) -> PurePosixPath:
    """As YOLO finds it: in the folder `labels` in place of the last `images`, else beside."""
    parts = list(image.parts)
    if 'images' in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index('images')
        parts[last] = 'labels'
    return PurePosixPath(*parts).with_suffix('.txt')


def _class_names(folder: Folder) -> list[str] | None:
    """From a YAML file's `names`, or a list of them; None if there is neither."""
    for path in folder.with_suffix('.yaml', '.yml'):
        try:
            content = yaml.safe_load((folder.root / path).read_text(encoding='utf-8'))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f'expected YAML in {folder.root / path}: {error}') from error
        names = content.get('names') if isinstance(content, dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names)]
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    for path in folder.files:
        if path.name in NAME_LISTS:
            return [line.strip() for line in read_list(folder.root / path, 'the name of a class')]
    return None


def _add(
    content: dict[str, list[dict]],
    root: Path,
    image: PurePosixPath,
    label: PurePosixPath | None,
    names: list[str] | None,
) -> int:
    """Add an image with its objects; the highest class that it has, -1 for none."""
    width, height = size_of(root / image)
    number = len(content['images']) + 1
    content['images'].append(
        {'id': number, 'file_name': str(image), 'width': width, 'height': height}
    )
    highest = -1
    lines = (root / label).read_text(encoding='utf-8').splitlines() if label else []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        category, numbers = _parse(line, f'line {place} of {root / label}', names)
        highest = max(highest, category)
        content['annotations'].append(
            {
                'id': len(content['annotations']) + 1,
                'image_id': number,
                'category_id': category,
                **_shape(numbers, width, height),
                'iscrowd': 0,
            }
        )
    return highest


def _parse(line: str, place: str, names: list[str] | None) -> tuple[int, list[float]]:
    form = 'a class and four shares of the image (centre x, centre y, width, height) or a polygon'
    try:
        category, *numbers = [float(word) for word in line.split()]
    except ValueError:
        raise UserError(f'expected {form} in {place}, got {line[:60]!r}') from None
    if (
        category % 1
        or category < 0
        or not (len(numbers) == 4 or (len(numbers) >= 6 and len(numbers) % 2 == 0))
    ):
        raise UserError(f'expected {form} in {place}, got {line[:60]!r}')
    if min(numbers) < -0.01 or max(numbers) > 1.01:
        raise UserError(
            f'expected shares of the image, 0 … 1, in {place}, got {line[:60]!r}: divide pixels by '
            'its width and height'
        )
    if names is not None and category >= len(names):
        raise UserError(
            f'expected classes 0 … {len(names) - 1}, as {len(names)} are named, {place} has '
            f'{category:g}'
        )
    return int(category), numbers


def _shape(numbers: list[float], width: int, height: int) -> dict:
    """Box, area and mask in pixels."""
    if len(numbers) == 4:
        x, y, w, h = numbers
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        return {'bbox': box, 'area': box[2] * box[3]}
    xs = [x * width for x in numbers[::2]]
    ys = [y * height for y in numbers[1::2]]
    following = zip(xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)
    twice = sum(x * v - u * y for x, y, (u, v) in zip(xs, ys, following, strict=True))
    polygon = [value for point in zip(xs, ys, strict=True) for value in point]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    return {'bbox': box, 'area': abs(twice) / 2, 'segmentation': [polygon]}
