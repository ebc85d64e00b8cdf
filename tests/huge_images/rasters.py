"""Files for tests, and what OpenCV, by which the MM libraries load, reads of them."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import rasterio

SIZE = (90, 70)  # height and width of noise
SMALL = (61, 47)  # of images that are predicted
STRIPS = ('--strips', 'always', '--strip-rows', 5)
FILES = {'pred/image.tif', 'vis/image.tif', 'sheet.png'}  # of `image.tif`


def write_tiff(path: Path, bands_CYX: np.ndarray, **settings) -> Path:
    count, height, width = bands_CYX.shape
    if count >= 3:
        settings.setdefault('photometric', 'RGB')
    with rasterio.open(
        path, 'w', driver='GTiff', height=height, width=width, count=count,
        dtype=bands_CYX.dtype.name, **settings,
    ) as file:  # fmt: skip
        file.write(bands_CYX)
    return path


def noise(count: int, dtype: type = np.uint8, size: tuple[int, int] = SIZE) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (count, *size))
    return values.astype(dtype)


def by_opencv(path: Path, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """[Y, X, C]"""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    return image if image.ndim == 3 else image[..., None]


def soft_tiff(name: str, count: int = 3, dtype: type = np.uint8, **settings) -> Path:
    """A small image without sharp edges, in the working folder."""
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    bands = [cv2.resize(rng.uniform(0, top, (5, 4)), SMALL[::-1]) for _ in range(count)]
    return quietly(write_tiff, Path(name), np.stack(bands).astype(dtype), **settings)


def quietly(action, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return action(*args, **settings)


def labels(path: str) -> np.ndarray:
    """Of a label image that was written by rows."""
    return quietly(rasterio.open, path).read(1)


def in_memory(path: str) -> np.ndarray:
    """Labels of a prediction in memory."""
    return cv2.imread(path, cv2.IMREAD_UNCHANGED)


def files(folder: str) -> set[str]:
    """All files below a folder."""
    paths = Path(folder).rglob('*')
    return {path.relative_to(folder).as_posix() for path in paths if path.is_file()}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = b'\xff' * 1000
    path.write_bytes(content)
