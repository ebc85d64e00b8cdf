"""Which images are huge, told by the header of their file."""

import warnings
from pathlib import Path

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from .tiff import read_header

# UperNet with ViG tiny and 150 classes was measured to take 1.3 kB a pixel, which larger models
# may double: 24 GiB then hold 9 million pixels.
MOST_IN_MEMORY = 8_000_000
# What is tried in memory where strips are not possible, as a model whose pipeline reduces images
# takes less; above, a process would be killed without a word.
MOST_WITHOUT_STRIPS = 32_000_000

# Opened by their own classes: `Image.open` refuses what might be a decompression bomb.
OPENERS = {b'\x89PNG': PngImageFile, b'\xff\xd8': JpegImageFile, b'BM': BmpImageFile}


def read_size(path: Path) -> tuple[int, int] | None:
    """Height and width of the image in a file; None where its header does not tell."""
    try:
        header = read_header(path)
        if header:
            return header.size_YX
        with path.open('rb') as file:
            start = file.read(4)
        opener = next((c for magic, c in OPENERS.items() if start.startswith(magic)), Image.open)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with opener(path) as image:
                return image.height, image.width
    except Exception:  # broken files fail in many ways; whoever reads them says how
        return None


def count_pixels(path: Path) -> int:
    """Of the image in a file; 0 where its header does not tell."""
    height, width = read_size(path) or (0, 0)
    return height * width


def format_size(pixels: float) -> str:
    """A number of pixels in words."""
    return f'{pixels / 1e6:.3g} megapixels'
