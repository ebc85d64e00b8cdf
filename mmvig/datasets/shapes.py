"""Draws the mini data set: shapes on textured grounds, in three layouts at once.

    ROOT/images/{training,validation}/*.jpg
    ROOT/annotations/instances_{train,val}.json        COCO: exact visible masks as run lengths
    ROOT/annotations/{training,validation}/*.png       ADE20K: 0 unlabeled, 1 ground, 2 … shapes
    ROOT/crops/{training,validation}/CLASS/*.jpg       ImageNet: each shape with a margin

There are five classes. Shapes span a sixth to two thirds of the image's shorter side, and later
ones hide earlier ones. Each class has its form and a range of hues that overlaps with its
neighbors', so that a small model learns the set in minutes. An image depends on its seed only: the
set is the same on every machine.
"""

import json
import math
from pathlib import Path

import cv2
import mmcv
import numpy as np

from .drawing import draw_once

CLASSES = ('circle', 'rectangle', 'triangle', 'star', 'cross')
PALETTE = [(230, 70, 60), (60, 130, 230), (60, 180, 90), (240, 190, 40), (160, 80, 200)]
SIZES = tuple((width, height) for width in (160, 192, 208, 240, 256) for height in (144, 160, 192))
FOLDERS = ['images', 'annotations', 'crops']
SPLITS = {'train': ('training', 480, 0), 'val': ('validation', 60, 1_000_000)}
MIN_VISIBLE = 0.5  # share of a shape that must stay visible below later ones
MIN_AREA = 48  # pixels of the smallest annotated instance
CROP_MARGIN = 8  # pixels around a shape in its crop


def ensure_mini(root: str | Path) -> None:
    """Draw the set into `root` unless it exists; of several processes, only the first draws.

    Raises:
        FileExistsError: `root` holds only a part of the set.
    """
    root = Path(root)

    def existing() -> list[str]:
        return [name for name in FOLDERS if (root / name).is_dir()]

    if existing() not in ([], FOLDERS):
        raise FileExistsError(
            f'expected {root} to hold a mini data set ({", ".join(FOLDERS)}), got only '
            f'{", ".join(existing())}; delete the folder, and it is drawn again'
        )
    draw_once(root, lambda: existing() == FOLDERS, _draw_set, 'the mini data set')


def _draw_set(root: Path) -> None:
    for split, (folder, count, seed) in SPLITS.items():
        _draw_split(root, split, folder, count, seed)


def _draw_split(root: Path, split: str, folder: str, count: int, seed: int) -> None:
    images, annotations = [], []
    for kind in ('images', 'annotations'):
        (root / kind / folder).mkdir(parents=True)
    for name in CLASSES:
        (root / 'crops' / folder / name).mkdir(parents=True)
    for index in range(count):
        image, labels, instances = draw(seed + index)
        name = f'{split}_{index:04d}'
        # Unlike OpenCV's, this function reports a full disk.
        mmcv.imwrite(image, str(root / 'images' / folder / f'{name}.jpg'))
        mmcv.imwrite(labels, str(root / 'annotations' / folder / f'{name}.png'))
        height, width = labels.shape
        images.append({'id': index, 'file_name': f'{name}.jpg', 'width': width, 'height': height})
        for category, mask in instances:
            x, y, w, h = cv2.boundingRect(mask)
            crop = image[
                max(y - CROP_MARGIN, 0) : y + h + CROP_MARGIN,
                max(x - CROP_MARGIN, 0) : x + w + CROP_MARGIN,
            ]
            crops = root / 'crops' / folder / CLASSES[category]
            mmcv.imwrite(crop, str(crops / f'{name}_{len(annotations):04d}.jpg'))
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': index,
                    'category_id': category + 1,
                    'bbox': [x, y, w, h],
                    'area': int(mask.sum()),
                    'iscrowd': 0,
                    'segmentation': {'size': [height, width], 'counts': run_lengths(mask)},
                }
            )
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, np.ndarray]]]:
    """One image (BGR uint8 [Y, X, 3]), its label map and visible instances (class, 0/1 mask)."""
    rng = np.random.default_rng(seed)
    width, height = SIZES[rng.integers(len(SIZES))]
    ground = rng.uniform(60, 190) + rng.uniform(-15, 15, 3)
    image = _texture(rng, width, height, ground, strength=16)
    shapes = []
    for _ in range(rng.integers(2, 6)):
        category = int(rng.integers(len(CLASSES)))
        radius = min(width, height) * rng.uniform(1 / 12, 1 / 3)
        center = rng.uniform((radius / 2, radius / 2), (width - radius / 2, height - radius / 2))
        mask = np.zeros((height, width), np.uint8)
        outline = _outline(CLASSES[category], center, radius, rng)
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
        remaining = [(c, m & (1 - mask), area) for c, m, area in shapes]
        if mask.sum() < MIN_AREA or any(m.sum() < MIN_VISIBLE * area for _, m, area in remaining):
            continue
        paint = _texture(rng, width, height, _color(category, rng), strength=10)
        image[mask > 0] = paint[mask > 0]
        shapes = remaining
        shapes.append((category, mask, int(mask.sum())))
    labels = np.ones((height, width), np.uint8)
    for category, mask, _ in shapes:
        labels[mask > 0] = category + 2
    return image, labels, [(category, mask) for category, mask, _ in shapes]


def _color(category: int, rng) -> np.ndarray:
    """A color (BGR) near the class's hue; the standard deviation is 15 degrees."""
    hue = (category * 180 / len(CLASSES) + rng.normal(0, 7.5)) % 180  # in steps of two degrees
    pixel = np.array([[[hue, rng.uniform(110, 255), rng.uniform(110, 255)]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


def _texture(rng, width: int, height: int, color, strength: float) -> np.ndarray:
    """A color with mostly gray noise of two scales and a linear gradient."""
    field = np.zeros((height, width, 3), np.float32)
    for cells in (4, 24):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        noise = 0.25 * noise + rng.standard_normal((cells, cells, 1)).astype(np.float32)
        field += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    slope = rng.uniform(-1, 1, 2)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    field += (slope[0] * rows + slope[1] * columns)[..., None]
    return np.clip(color + strength * field, 0, 255).astype(np.uint8)


def _outline(name: str, center, radius: float, rng) -> np.ndarray:
    """Corner points [N, 2] of a shape, turned by a random angle."""
    turn = rng.uniform(0, 2 * math.pi)
    if name == 'rectangle':
        side = rng.uniform(0.45, 1.0)
        points = radius * np.array([(-1, -side), (1, -side), (1, side), (-1, side)])
    elif name == 'cross':
        a, b = 1.0, 0.32
        points = radius * np.array(
            [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b),
             (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]
        )  # fmt: skip
    else:
        corners, inner = {'circle': (48, 1.0), 'triangle': (3, 1.0), 'star': (10, 0.42)}[name]
        angles = np.arange(corners) * 2 * math.pi / corners
        reach = radius * np.where(np.arange(corners) % 2, inner, 1.0)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None]
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return points @ rotation.T + center


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths: column by column, starting with zeros."""
    flat = mask.flatten(order='F')
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs
