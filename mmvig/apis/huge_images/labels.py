"""Label images written by rows, as tiled and compressed TIFF files."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from .image import RasterImage
from .raster_errors import raster_errors
from .tiff import read_header

TILE = 256


class LabelTiff:
    """Takes the labels of an image row by row, and writes them into a TIFF file.

    The file has one band in tiles, compressed without loss, and is a BigTIFF if need be. It is
    written under a name that ends in `.part`, which it loses when it is complete; after an error
    nothing is left.

    Args:
        path: of the file.
        size_YX: height and width.
        dtype: uint8 or uint16.
        first: added to all labels.
        palette: a color for each label, which files of uint8 get; None for no colors.
        place: what has `crs` and `transform`, which the file gets; None for a file without.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        size_YX: tuple[int, int],
        dtype: type[np.unsignedinteger] = np.uint8,
        first: int = 0,
        palette: Sequence[Sequence[int]] | None = None,
        place: RasterImage | None = None,
    ) -> None:
        self._path = path
        self._part = path.with_name(f'{path.name}.part')
        self._first = first
        self._height, self._width = size_YX
        self._next = 0
        self._waiting = np.empty((0, self._width), dtype)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part.unlink(missing_ok=True)
        place_tags = {} if place is None else {'crs': place.crs, 'transform': place.transform}
        with self._writing():
            self._file = rasterio.open(
                self._part, 'w', driver='GTiff', height=self._height, width=self._width, count=1,
                dtype=np.dtype(dtype).name, tiled=True, blockxsize=TILE, blockysize=TILE,
                compress='deflate', bigtiff='if_safer', **place_tags,
            )  # fmt: skip
            if palette is not None and dtype == np.uint8:
                colors = {i: (*map(int, color), 255) for i, color in enumerate(palette, first)}
                self._file.write_colormap(1, {i: c for i, c in colors.items() if i < 256})

    def __enter__(self) -> 'LabelTiff':
        return self

    def __exit__(self, kind: type | None, *error) -> None:
        try:
            with self._writing():
                self._file.close()
            if kind is None:
                self._check_written()
                os.replace(self._part, self._path)
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def write(self, top: int, rows: np.ndarray) -> None:
        """Labels [rows, X] from row `top` on, which follow those before."""
        if top != self._next:
            raise ValueError(f'expected rows from {self._next} on, got rows from {top} on')
        self._next += len(rows)
        labels_YX = rows.astype(self._waiting.dtype) + self._waiting.dtype.type(self._first)
        self._waiting = np.concatenate([self._waiting, labels_YX])
        # Tiles are written whole, as GDAL compresses a tile anew each time it changes.
        whole = len(self._waiting) // TILE * TILE
        self._put(len(self._waiting) if self._next == self._height else whole)

    def _put(self, count: int) -> None:
        if count:
            start = self._next - len(self._waiting)
            window = Window(0, start, self._width, count)
            with self._writing():
                self._file.write(self._waiting[:count], 1, window=window)
            self._waiting = self._waiting[count:].copy()

    def _check_written(self) -> None:
        """GDAL does not report everything that fails while it closes a file."""
        header = read_header(self._part)
        complete = self._next == self._height and header is not None
        if not complete or header.missing_pieces or header.end > self._part.stat().st_size:
            raise OSError(f'could not write {self._path} completely; is the disk full?')

    def _writing(self) -> AbstractContextManager[None]:
        return raster_errors(
            lambda cause: OSError(f'could not write {self._path}: {cause}; is the disk full?')
        )
