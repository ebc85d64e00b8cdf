"""What is read and written by rows: the protocols of images and results, and arrays in memory."""

from typing import Protocol

import numpy as np


class Rows(Protocol):
    """An image or a map of which some rows are read at a time.

    Attributes:
        shape: height, width, channels.
    """

    shape: tuple[int, int, int]

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Rows top … bottom - 1 (0 ≤ top < bottom ≤ height), [rows, X, C]."""
        ...


class RowSink(Protocol):
    """Takes a result a few rows at a time: in order, from the top, without gaps."""

    def write(self, top: int, rows: np.ndarray) -> None:
        """Rows from `top` on: labels [rows, X], anything else [rows, X, C]."""
        ...


class ArrayRows:
    """An array [Y, X, C] or [Y, X] (one channel), in memory or mapped, as `Rows`.

    Raises:
        ValueError: the array has another number of axes, or none of something.
    """

    def __init__(self, array: np.ndarray) -> None:
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise ValueError(
                f'expected an image [height, width, channels] or [height, width], none of them 0; '
                f'got shape {list(array.shape)}'
            )
        self.array = array if array.ndim == 3 else array[..., None]
        self.shape = self.array.shape

    def read(self, top: int, bottom: int) -> np.ndarray:
        return np.ascontiguousarray(self.array[top:bottom])


class ArraySink:
    """Collects the rows of a result; `array` is what has come so far."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._rows = 0

    def write(self, top: int, rows: np.ndarray) -> None:
        if top != self._rows:
            raise ValueError(f'expected rows from {self._rows} on, got rows from {top} on')
        self._parts.append(rows.copy())
        self._rows += len(rows)

    @property
    def array(self) -> np.ndarray:
        return np.concatenate(self._parts)
