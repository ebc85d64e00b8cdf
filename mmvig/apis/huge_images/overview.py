"""Reduced pictures of an image and of its labels, made while their rows pass."""

import numpy as np

from mmvig.streaming import Rows

from .form import Form

LONGEST_SIDE = 2048  # of a reduced picture
READ_PIXELS = 2**22  # at once


def reduction(size_YX: tuple[int, int]) -> int:
    """How many pixels of a side become one."""
    return -(-max(size_YX) // LONGEST_SIDE)


def reduce_image(image: Rows) -> np.ndarray:
    """Read a whole image once, and return it reduced: means of squares, [Y, X, C] as it is read.

    Squares that reach over the right or lower border repeat the last column or row.
    """
    height, width, _ = image.shape
    step = reduction((height, width))
    rows = max(1, READ_PIXELS // (step * width)) * step
    parts = []
    for top in range(0, height, rows):
        part_YXC = image.read(top, min(top + rows, height))
        if step > 1:
            part_YXC = _means(part_YXC, step)
        parts.append(part_YXC)
    return np.concatenate(parts)


def _means(part_YXC: np.ndarray, step: int) -> np.ndarray:
    rows, columns, channels = part_YXC.shape
    padded = np.pad(part_YXC, ((0, -rows % step), (0, -columns % step), (0, 0)), mode='edge')
    squares = padded.reshape(len(padded) // step, step, -1, step, channels)
    return squares.mean(axis=(1, 3)).astype(part_YXC.dtype)


def as_picture(reduced_YXC: np.ndarray, form: Form) -> np.ndarray:
    """RGB in uint8, of a reduced image of any bands: of many the first three.

    Where they have more than 8 bits, those between the percentiles 2 and 98 fill the range.
    """
    picture_YXC = reduced_YXC[..., :3] if reduced_YXC.shape[-1] >= 3 else reduced_YXC[..., :1]
    if picture_YXC.dtype != np.uint8:
        low, high = np.nanpercentile(picture_YXC, (2, 98))
        share = (picture_YXC.astype(np.float64) - low) / max(high - low, 1e-12)
        picture_YXC = (255 * np.nan_to_num(share).clip(0, 1)).astype(np.uint8)
    if picture_YXC.shape[-1] == 1:
        return np.repeat(picture_YXC, 3, axis=-1)
    reads_bgr = form in (Form.COLOR, Form.UNCHANGED)
    return np.ascontiguousarray(picture_YXC[..., ::-1] if reads_bgr else picture_YXC)


class ReducedLabels:
    """Takes the labels of an image row by row, and keeps the one in the middle of each square."""

    def __init__(self, size_YX: tuple[int, int]) -> None:
        self._step = reduction(size_YX)
        self._rows, self._columns = (_middles(side, self._step) for side in size_YX)
        self._kept: list[np.ndarray] = []

    def write(self, top: int, rows: np.ndarray) -> None:
        inside = (self._rows >= top) & (self._rows < top + len(rows))
        self._kept.append(rows[np.ix_(self._rows[inside] - top, self._columns)])

    def joined(self) -> np.ndarray:
        """Labels [Y, X] of the squares of all rows so far."""
        return np.concatenate(self._kept)


def _middles(side: int, step: int) -> np.ndarray:
    return np.minimum(np.arange(0, side, step) + step // 2, side - 1)
