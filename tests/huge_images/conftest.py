"""Fixtures of huge images, which are small here. Rasterio, which writes them, is optional."""

from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = [] if find_spec('rasterio') else ['test_*.py']


@pytest.fixture
def image(input_folder) -> Path:
    """A GeoTIFF in the working folder, beside configs and checkpoints."""
    from .rasters import soft_tiff

    return soft_tiff('image.tif', compress='deflate', crs='EPSG:32633')


@pytest.fixture
def on_disk(monkeypatch):
    """Maps are files, however small, as those of huge images are."""
    monkeypatch.setattr('mmvig.apis.huge_images.predict.RAM_BYTES', 0)
