"""Contact sheets: many pictures in one image."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np


def contact_sheet(
    pictures: Sequence[Path], target: Path, columns: int = 3, width: int = 512
) -> None:
    """Put pictures side by side, each scaled to `width` and centered in its cell."""
    tiles = [cv2.imread(str(path)) for path in pictures]
    tiles = [
        cv2.resize(tile, (width, round(tile.shape[0] * width / tile.shape[1]))) for tile in tiles
    ]
    height = max(len(tile) for tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top = i // columns * height + (height - len(tile)) // 2
        left = i % columns * width
        sheet[top : top + len(tile), left : left + width] = tile
    mmcv.imwrite(sheet, str(target))  # unlike OpenCV's, it reports a full disk
