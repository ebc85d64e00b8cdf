"""Image files read by rows, with the pixels that the loaders of the MM libraries give."""

from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from mmvig.apis.images import ImageError

from .form import Form
from .raster_errors import raster_errors
from .tiff import check_complete

# Formats that are read by rows; others hold whole images, or point to files elsewhere.
DRIVERS = {b'II': 'GTiff', b'MM': 'GTiff', b'\x89PNG': 'PNG', b'\xff\xd8': 'JPEG', b'BM': 'BMP'}
MOST_BLOCK_BYTES = 2**30  # of the pieces that a file stores side by side in a row
CACHE_BYTES = 2**26


class RasterImage:
    """An image in a file, read by rows.

    Of TIFF files bands 1 to 3 are red, green and blue, whatever the file calls them. As OpenCV
    does, `Form.COLOR` leaves out a fourth band, or multiplies colors by it if it is an alpha that
    TIFF calls unassociated, and turns one band, a palette or 16 bits into colors of 8 bits.

    Args:
        path: of the file.
        form: what is to be made of its bands.

    Attributes:
        shape: height, width and number of channels, as of what `read` gives.
        drops_last: whether the last band of the file is not read.
        crs: coordinate reference system, None without one.
        transform: from columns and rows to its coordinates; None if the file has none.

    Raises:
        ImageError: the file cannot be read by rows, is cut short, or has bands of another kind.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self._path = path
        self._form = form
        header = check_complete(path)
        self._multiplies_alpha = bool(header and header.multiplies_alpha)
        with self._reading():
            self._file = rasterio.open(path, driver=self._driver())
        try:
            self._check(header.orientation if header else _exif_orientation(self._file))
            self._palette = self._read_palette()
            self._indexes, channels = self._choose_bands()
        except BaseException:
            self._file.close()
            raise
        self._rounds = header is not None and self._file.count > 2  # how OpenCV takes 8 of 16 bits
        self.shape = (self._file.height, self._file.width, channels)
        self.drops_last = len(self._indexes) < self._file.count
        self.crs = self._file.crs
        self.transform = None if self._file.transform.is_identity else self._file.transform

    def __enter__(self) -> 'RasterImage':
        # Twice the blocks of a row, so that strips of a few rows decode each block once.
        blocks = 2 * self._bytes_of_blocks()
        self._env = rasterio.Env(GDAL_CACHEMAX=max(CACHE_BYTES, blocks))
        self._env.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._file.close()
        self._env.__exit__(*error)

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Rows top … bottom - 1, [rows, X, C].

        Raises:
            ImageError: they are damaged.
        """
        window = Window(0, top, self._file.width, bottom - top)
        with self._reading():
            bands_CYX = self._file.read(self._indexes, window=window)
        bands_YXC = np.ascontiguousarray(bands_CYX.transpose(1, 2, 0))
        if self._palette is not None:
            bands_YXC = self._palette[bands_YXC[..., 0]]
        if self._form in (Form.COLOR, Form.GRAY):
            return self._eight_bits(bands_YXC)
        if self._form == Form.UNCHANGED and bands_YXC.shape[-1] > 1:
            order = [2, 1, 0, 3][: bands_YXC.shape[-1]]
            return np.ascontiguousarray(bands_YXC[..., order])
        return bands_YXC

    def _eight_bits(self, bands_YXC: np.ndarray) -> np.ndarray:
        if bands_YXC.dtype == np.uint16:
            if self._rounds:
                bands_YXC = (bands_YXC.astype(np.uint32) + 128) // 257
            else:
                bands_YXC = bands_YXC >> 8
            bands_YXC = bands_YXC.astype(np.uint8)
        if bands_YXC.shape[-1] == 4:
            alpha_YX1 = bands_YXC[..., 3:].astype(np.uint16)
            bands_YXC = ((bands_YXC[..., :3] * alpha_YX1 + 127) // 255).astype(np.uint8)
        if self._form == Form.GRAY:
            if bands_YXC.shape[-1] == 3:
                return cv2.cvtColor(bands_YXC, cv2.COLOR_RGB2GRAY)[..., None]
            return bands_YXC
        if bands_YXC.shape[-1] == 1:
            return np.repeat(bands_YXC, 3, axis=-1)
        return np.ascontiguousarray(bands_YXC[..., ::-1])

    def _choose_bands(self) -> tuple[list[int], int]:
        """The bands that are read, and the channels that are made of them."""
        count = self._file.count
        if self._form == Form.STORED:
            return list(range(1, count + 1)), count
        if count > 4 or (self._form == Form.UNCHANGED and count == 2):
            raise ImageError(
                self._path,
                f'expected 1, 3 or 4 bands for LoadImageFromFile, {self._path} has {count}: '
                "imdecode_backend='tifffile' of the test pipeline loads them all",
            )
        made = {Form.COLOR: 3, Form.GRAY: 1}.get(self._form)
        if self._palette is not None:
            return [1], made or 3
        if self._form == Form.UNCHANGED:
            return list(range(1, count + 1)), count
        read = {1: 1, 2: 1, 3: 3, 4: 3 + self._multiplies_alpha}[count]
        return list(range(1, read + 1)), made

    def _read_palette(self) -> np.ndarray | None:
        """Colors [256, 3] of an image that stores their numbers."""
        if self._form == Form.STORED or self._file.colorinterp[0] != ColorInterp.palette:
            return None
        colors = np.zeros((256, 3), np.uint8)
        for number, color in self._file.colormap(1).items():
            colors[number] = color[:3]
        return colors

    def _check(self, orientation: int) -> None:
        kinds = set(self._file.dtypes)
        bits = {self._file.tags(i, ns='IMAGE_STRUCTURE').get('NBITS') for i in self._file.indexes}
        if self._form != Form.STORED and (not kinds <= {'uint8', 'uint16'} or bits != {None}):
            found = ', '.join(f'{n} bits' for n in bits if n) or ', '.join(sorted(kinds))
            raise ImageError(
                self._path,
                f'expected 8 or 16 bits a sample (uint8, uint16), {self._path} has {found}: '
                "'rio convert' with --dtype changes that",
            )
        if orientation != 1:
            raise ImageError(
                self._path,
                f'expected an image that is stored as it is seen, {self._path} is to be turned '
                f'(orientation {orientation}), which cannot be done by rows: save it turned',
            )
        if self._bytes_of_blocks() > MOST_BLOCK_BYTES:
            raise ImageError(
                self._path,
                f'expected an image in tiles or small strips, {self._path} is stored in pieces of '
                f"{max(shape[0] for shape in self._file.block_shapes)} rows: 'rio convert IN OUT "
                "--co tiled=true' changes that",
            )

    def _driver(self) -> str:
        """Of the format, by the first bytes: rasterio would try all that it knows."""
        with self._path.open('rb') as file:
            start = file.read(4)
        driver = next((name for magic, name in DRIVERS.items() if start.startswith(magic)), None)
        if driver is None:
            raise ImageError(
                self._path,
                f'expected an image that can be read by rows, {self._path} is no TIFF, PNG, JPEG '
                'or BMP file',
            )
        return driver

    def _bytes_of_blocks(self) -> int:
        """Of the blocks that cover one row."""
        rows = max(shape[0] for shape in self._file.block_shapes)
        sample = max(np.dtype(kind).itemsize for kind in self._file.dtypes)
        return rows * self._file.width * self._file.count * sample

    def _reading(self) -> AbstractContextManager[None]:
        return raster_errors(
            lambda cause: ImageError(
                self._path,
                f'expected a whole image, {self._path} cannot be read as one: it is cut short or '
                f'damaged ({cause})',
            )
        )


def _exif_orientation(file: rasterio.DatasetReader) -> int:
    return int(file.tags().get('EXIF_Orientation', 1))
