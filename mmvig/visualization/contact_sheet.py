"""Contact sheets: many pictures in one image."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np

MAX_ASPECT = 2


def contact_sheet(
    pictures: Sequence[Path], target: Path, columns: int = 3, width: int = 512
) -> None:
    """Put pictures side by side, each scaled to `width` and centered in its cell.

    Pictures more than `MAX_ASPECT` times as high as wide are scaled to that height.
    """
    tiles = [_fit(cv2.imread(str(path)), width) for path in pictures]
    height = max(len(tile) for tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top = i // columns * height + (height - len(tile)) // 2
        left = i % columns * width + (width - tile.shape[1]) // 2
        sheet[top : top + len(tile), left : left + tile.shape[1]] = tile
    mmcv.imwrite(sheet, str(target))  # unlike OpenCV's, it reports a full disk


def _fit(picture: np.ndarray, width: int) -> np.ndarray:
    rows, columns = picture.shape[:2]
    scale = min(width / columns, MAX_ASPECT * width / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(picture, size)
