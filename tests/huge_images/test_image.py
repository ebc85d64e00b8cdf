"""Files read by rows have the pixels that the loaders of the MM libraries give."""

import re
import warnings

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from mmvig.apis.huge_images.form import Form
from mmvig.apis.huge_images.image import RasterImage
from mmvig.apis.images import ImageError

from .rasters import SIZE, by_opencv, noise, write_tiff

FLAGS = {
    Form.COLOR: cv2.IMREAD_COLOR,
    Form.GRAY: cv2.IMREAD_GRAYSCALE,
    Form.UNCHANGED: cv2.IMREAD_UNCHANGED,
}


@pytest.fixture(autouse=True)
def _no_warnings():
    """Files without coordinates are not worth a word."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', rasterio.errors.NotGeoreferencedWarning)
        yield


def quiet_tiff(*args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        return write_tiff(*args, **settings)


def read(path, form: Form, rows: int = 7) -> np.ndarray:
    with RasterImage(path, form) as image:
        height = image.shape[0]
        parts = [image.read(top, min(top + rows, height)) for top in range(0, height, rows)]
        joined = np.concatenate(parts)
        assert joined.shape == image.shape
        assert joined.flags.c_contiguous
        return joined


LAYOUTS = {
    'strips': {'blockysize': 8},
    'one_strip': {'blockysize': SIZE[0]},
    'tiles': {'tiled': True, 'blockxsize': 32, 'blockysize': 16},
    'deflate': {'tiled': True, 'blockxsize': 64, 'blockysize': 64, 'compress': 'deflate'},
    'lzw': {'compress': 'lzw', 'predictor': 2},
    'big': {'bigtiff': 'yes', 'compress': 'packbits'},
    'planar': {'interleave': 'band'},
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('rows', [1, 7, 90])
def test_every_layout_of_tiff(layout, rows, tmp_path):
    path = quiet_tiff(tmp_path / 'a.tif', noise(3), **LAYOUTS[layout])
    np.testing.assert_array_equal(read(path, Form.COLOR, rows), noise(3)[::-1].transpose(1, 2, 0))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('count', [1, 2, 3, 4])
def test_colors_as_opencv_reads_them(count, dtype, tmp_path):
    """Of 16 bits it takes 8, rounded in TIFF files of several bands, else the higher ones."""
    path = quiet_tiff(tmp_path / 'a.tif', noise(count, dtype), alpha='unspecified')
    np.testing.assert_array_equal(read(path, Form.COLOR), by_opencv(path))


@pytest.mark.parametrize('alpha', ['unspecified', 'premultiplied', 'yes'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_alpha_as_opencv_takes_it(alpha, dtype, tmp_path):
    path = quiet_tiff(tmp_path / 'a.tif', noise(4, dtype), alpha=alpha)
    np.testing.assert_array_equal(read(path, Form.COLOR), by_opencv(path))


@pytest.mark.parametrize('form', [Form.GRAY, Form.UNCHANGED])
@pytest.mark.parametrize('count', [1, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_other_forms(form, count, dtype, tmp_path):
    path = quiet_tiff(tmp_path / 'a.tif', noise(count, dtype), alpha='unspecified')
    expected = by_opencv(path, FLAGS[form])
    got = read(path, form)
    assert got.dtype == expected.dtype
    # Gray of colors is rounded otherwise, by one at most.
    np.testing.assert_allclose(got.astype(int), expected, atol=form == Form.GRAY and count > 1)


def test_a_palette(tmp_path):
    path = tmp_path / 'a.png'
    colors = Image.fromarray(noise(3).transpose(1, 2, 0)).convert('P')
    colors.save(path)
    np.testing.assert_array_equal(read(path, Form.COLOR), by_opencv(path))
    colors.save(tmp_path / 'a.tif')
    np.testing.assert_array_equal(read(tmp_path / 'a.tif', Form.COLOR), by_opencv(path))


def test_colors_of_a_printer(tmp_path):
    path = tmp_path / 'a.tif'
    Image.fromarray(noise(4).transpose(1, 2, 0).copy(), 'CMYK').save(path)
    np.testing.assert_array_equal(read(path, Form.COLOR), by_opencv(path))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png(channels, dtype, tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), noise(channels, dtype).transpose(1, 2, 0))
    np.testing.assert_array_equal(read(path, Form.COLOR), by_opencv(path))


def test_jpeg_and_bmp(tmp_path):
    """Decoders of JPEG differ in how they enlarge color: by 9 of 255 steps here."""
    soft = cv2.resize(noise(3, size=(5, 4)).transpose(1, 2, 0), SIZE[::-1])
    for name, steps in (('a.jpg', 12), ('a.bmp', 0)):
        cv2.imwrite(str(tmp_path / name), soft)
        got, expected = read(tmp_path / name, Form.COLOR), by_opencv(tmp_path / name)
        np.testing.assert_allclose(got.astype(int), expected, atol=steps)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize('count', [1, 5])
def test_all_bands_as_they_are_stored(count, dtype, tmp_path):
    bands_CYX = noise(count, np.uint8).astype(dtype) - (7 if dtype == np.int16 else 0)
    path = quiet_tiff(tmp_path / 'a.tif', bands_CYX, photometric='minisblack')
    got = read(path, Form.STORED)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, bands_CYX.transpose(1, 2, 0))


def test_sixteen_bits_without_a_word_about_colors(tmp_path):
    """GDAL writes them so by default; OpenCV would take the first band alone."""
    bands_CYX = noise(3, np.uint16)
    path = quiet_tiff(tmp_path / 'a.tif', bands_CYX, photometric='minisblack')
    expected = (bands_CYX.astype(int) + 128) // 257
    np.testing.assert_array_equal(read(path, Form.COLOR), expected[::-1].transpose(1, 2, 0))


def test_coordinates_are_kept(tmp_path):
    place = from_origin(500_000, 4_600_000, 0.5, 0.5)
    write_tiff(tmp_path / 'a.tif', noise(3), crs='EPSG:32633', transform=place)
    with RasterImage(tmp_path / 'a.tif', Form.COLOR) as image:
        assert image.crs.to_epsg() == 32633
        assert image.transform == place
    quiet_tiff(tmp_path / 'b.tif', noise(3))
    with RasterImage(tmp_path / 'b.tif', Form.COLOR) as image:
        assert image.crs is None
        assert image.transform is None


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_tiff_that_is_cut_short(layout, tmp_path):
    """Known from its tags, before a pixel is read, or from tags that are gone."""
    path = quiet_tiff(tmp_path / 'a.tif', noise(3), **LAYOUTS[layout])
    whole = path.read_bytes()
    for kept in (20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(ImageError, match=r'expected a whole image, .*a.tif .*(cut short)'):
            RasterImage(path, Form.COLOR)


@pytest.mark.parametrize('layout', ['deflate', 'lzw'])
def test_a_damaged_tiff(layout, tmp_path):
    """Compressed data tell; of others nothing can."""
    path = quiet_tiff(tmp_path / 'a.tif', noise(3), **LAYOUTS[layout])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r'expected a whole image, .*a.tif cannot be read as one'):
        read(path, Form.COLOR)


@pytest.mark.parametrize('name', ['a.png', 'a.jpg'])
def test_a_png_or_jpeg_that_is_cut_short(name, tmp_path):
    path = tmp_path / name
    cv2.imwrite(str(path), noise(3, size=(400, 300)).transpose(1, 2, 0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match='expected a whole image'):
        read(path, Form.COLOR)


def orient(path) -> None:
    Image.fromarray(noise(3).transpose(1, 2, 0)).save(path, tiffinfo={274: 6})


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda p: quiet_tiff(p, noise(5)), r'expected 1, 3 or 4 bands .* has 5: imdecode_backend'),
        (lambda p: quiet_tiff(p, noise(3).astype(np.float32)), 'expected 8 or 16 bits .* float32'),
        (lambda p: quiet_tiff(p, noise(1) % 2, nbits=1), 'expected 8 or 16 bits .* has 1 bits'),
        (orient, r'stored as it is seen, .* \(orientation 6\)'),
        (lambda p: p.write_text('words'), 'is no TIFF, PNG, JPEG or BMP file'),
        (lambda p: p.write_bytes(b''), 'is no TIFF, PNG, JPEG or BMP file'),
        (lambda p: p.write_bytes(b'\x89PNG' + bytes(99)), 'expected a whole image'),
    ],
)
def test_files_of_another_kind(make, message, tmp_path):
    path = tmp_path / 'a.tif'
    make(path)
    with pytest.raises(ImageError) as caught:
        read(path, Form.COLOR)
    assert re.search(message, str(caught.value)), caught.value
