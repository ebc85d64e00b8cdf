"""Draws a set in which a class shows only at the far end of long objects.

Gray bars reach from one side of the image to the other, and their left or right end has the color
of the bar's class. So a window that does not reach that end cannot tell the class of a bar: the set
tells models and ways of prediction with global context from those without.

    ROOT/images/{training,validation}/*.png
    ROOT/annotations/{training,validation}/*.png       0 ground, 1 … the classes

Bars are as thick and as far apart in images of any size. An image depends on its seed and size
only: the set is the same on every machine.
"""

from pathlib import Path

import cv2
import mmcv
import numpy as np

from .drawing import draw_once

CLASSES = ('ground', 'red end', 'green end', 'blue end')
PALETTE = [(110, 110, 110), (230, 70, 60), (60, 180, 90), (60, 130, 230)]
SIZE = (96, 256)  # height and width of the set's images
SPLITS = {'training': (480, 2_000_000), 'validation': (24, 3_000_000)}  # count, first seed
SPACE = 48  # pixels from bar to bar
THICKNESS = 16
END = 32  # pixels in the color of the class
SWING = 6  # pixels by which a bar leaves its row, upwards and downwards
SHARE = 0.8  # of the rows that have a bar


def draw(seed: int, size_YX: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """An image (BGR uint8 [Y, X, 3]) and its labels (uint8 [Y, X])."""
    rng = np.random.default_rng(seed)
    height, width = size_YX
    image_YXC = _texture(rng, height, width, rng.uniform(70, 180))
    labels_YX = np.zeros(size_YX, np.uint8)
    columns = np.arange(width)
    for middle in range(SPACE // 2, height - SPACE // 2 + 1, SPACE):
        if rng.random() > SHARE:
            continue
        label = int(rng.integers(1, len(CLASSES)))
        wave = np.sin(columns / rng.uniform(20, 60) + rng.uniform(0, 6.3))
        top = np.round(middle - THICKNESS / 2 + SWING * wave).astype(int)
        rows_YX = np.clip(top + np.arange(THICKNESS)[:, None], 0, height - 1)
        body = _texture(rng, THICKNESS, width, rng.uniform(20, 235))
        color = np.array(PALETTE[label][::-1]) + rng.normal(0, 12, 3)
        end = slice(width - END, None) if rng.random() < 0.5 else slice(0, END)
        body[:, end] = np.clip(color, 0, 255)
        image_YXC[rows_YX, columns] = body
        labels_YX[rows_YX, columns] = label
    return image_YXC, labels_YX


def _texture(rng: np.random.Generator, height: int, width: int, gray: float) -> np.ndarray:
    """Gray with coarse and fine noise, BGR."""
    cells = rng.standard_normal((-(-height // 16), -(-width // 16))).astype(np.float32)
    coarse = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = rng.standard_normal((height, width, 3), np.float32)
    return np.clip(gray + 10 * coarse[..., None] + 4 * fine, 0, 255).astype(np.uint8)


def ensure_far_ends(root: str | Path) -> None:
    """Draw the set into `root` unless it exists; of several processes, only the first draws."""
    root = Path(root)
    draw_once(root, root.is_dir, _draw_set, 'the set')


def _draw_set(root: Path) -> None:
    for split, (count, seed) in SPLITS.items():
        for index in range(count):
            for kind, pixels in zip(('images', 'annotations'), draw(seed + index), strict=True):
                mmcv.imwrite(pixels, str(root / kind / split / f'{index:04d}.png'))
