"""Label images written by rows, and reduced pictures made on the way."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from mmvig.apis.huge_images import overview
from mmvig.apis.huge_images.form import Form
from mmvig.apis.huge_images.image import RasterImage
from mmvig.apis.huge_images.labels import LabelTiff
from mmvig.apis.huge_images.overview import ReducedLabels, as_picture, reduce_image, reduction
from mmvig.streaming import ArrayRows

from .rasters import noise, write_tiff


def read(path) -> tuple[np.ndarray, dict]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read(1), file.profile


def write(path, labels_YX: np.ndarray, rows: int, **settings) -> None:
    with LabelTiff(path, labels_YX.shape, **settings) as file:
        for top in range(0, len(labels_YX), rows):
            file.write(top, labels_YX[top : top + rows])


@pytest.mark.parametrize('size', [(1, 1), (1, 700), (257, 300), (600, 5)])
@pytest.mark.parametrize('rows', [1, 100, 600])
def test_labels_come_back(size, rows, tmp_path):
    labels_YX = noise(1, size=size)[0]
    write(tmp_path / 'deep/a.tif', labels_YX, rows)
    found, profile = read(tmp_path / 'deep/a.tif')
    np.testing.assert_array_equal(found, labels_YX)
    assert profile['tiled']
    assert profile['compress'] == 'deflate'
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['a.tif']


def test_labels_count_from_another_number(tmp_path):
    labels_YX = np.full((3, 4), 255, np.uint8)
    write(tmp_path / 'a.tif', labels_YX, 2, dtype=np.uint16, first=1)
    assert read(tmp_path / 'a.tif')[0].dtype == np.uint16
    assert (read(tmp_path / 'a.tif')[0] == 256).all()


@pytest.mark.parametrize('first', [0, 1])
def test_labels_have_the_colors_of_their_classes(first, tmp_path):
    palette = [[9, 8, 7], (1, 2, 3)]
    write(tmp_path / 'a.tif', np.zeros((2, 2), np.uint8), 1, palette=palette, first=first)
    with rasterio.open(tmp_path / 'a.tif') as file:
        colors = file.colormap(1)
    assert [colors[first + i] for i in range(2)] == [(9, 8, 7, 255), (1, 2, 3, 255)]


def test_labels_lie_where_the_image_does(tmp_path):
    place = from_origin(500_000, 4_600_000, 0.5, 0.5)
    write_tiff(tmp_path / 'image.tif', noise(3), crs='EPSG:32633', transform=place)
    with RasterImage(tmp_path / 'image.tif', Form.COLOR) as image:
        write(tmp_path / 'a.tif', np.zeros(image.shape[:2], np.uint8), 9, place=image)
    profile = read(tmp_path / 'a.tif')[1]
    assert profile['crs'].to_epsg() == 32633
    assert profile['transform'] == place


def test_nothing_is_left_of_labels_that_failed(tmp_path):
    """A file that was there before is."""
    (tmp_path / 'a.tif').write_text('older')

    def fail() -> None:
        with LabelTiff(tmp_path / 'a.tif', (600, 4)) as file:
            file.write(0, np.zeros((300, 4), np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ['a.tif']
    assert (tmp_path / 'a.tif').read_text() == 'older'


def test_labels_that_are_not_all_there(tmp_path):
    with (
        pytest.raises(OSError, match='could not write .*a.tif completely'),
        LabelTiff(tmp_path / 'a.tif', (600, 4)) as file,
    ):
        file.write(0, np.zeros((300, 4), np.uint8))
    with LabelTiff(tmp_path / 'a.tif', (6, 4)) as file:
        with pytest.raises(ValueError, match='expected rows from 0 on, got rows from 1 on'):
            file.write(1, np.zeros((3, 4), np.uint8))
        file.write(0, np.zeros((6, 4), np.uint8))


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        LabelTiff(tmp_path / 'file/a.tif', (600, 4))


@pytest.mark.parametrize('size', [(8, 8), (9, 13), (1, 40), (40, 1)])
def test_a_reduced_image_is_made_of_means(size, monkeypatch):
    monkeypatch.setattr(overview, 'LONGEST_SIDE', 4)
    monkeypatch.setattr(overview, 'READ_PIXELS', 30)
    image_YXC = noise(2, np.uint16, size).transpose(1, 2, 0)
    step = reduction(size)
    reduced = reduce_image(ArrayRows(image_YXC))
    assert max(reduced.shape[:2]) <= 4
    for y in range(reduced.shape[0]):
        for x in range(reduced.shape[1]):
            rows = np.minimum(np.arange(y * step, (y + 1) * step), size[0] - 1)
            columns = np.minimum(np.arange(x * step, (x + 1) * step), size[1] - 1)
            mean = image_YXC[np.ix_(rows, columns)].mean((0, 1))
            np.testing.assert_array_equal(reduced[y, x], np.floor(mean))


def test_an_image_of_a_picture_s_size_stays(monkeypatch):
    image_YXC = noise(3).transpose(1, 2, 0)
    np.testing.assert_array_equal(reduce_image(ArrayRows(image_YXC)), image_YXC)


@pytest.mark.parametrize('rows', [1, 3, 40])
def test_reduced_labels_are_those_in_the_middle(rows, monkeypatch):
    monkeypatch.setattr(overview, 'LONGEST_SIDE', 4)
    labels_YX = np.arange(10 * 17).reshape(10, 17)
    sink = ReducedLabels(labels_YX.shape)  # one of 5×5
    for top in range(0, 10, rows):
        sink.write(top, labels_YX[top : top + rows])
    np.testing.assert_array_equal(sink.joined(), labels_YX[[2, 7]][:, [2, 7, 12, 16]])


def test_pictures_of_any_bands():
    eight_YXC = noise(4).transpose(1, 2, 0)
    np.testing.assert_array_equal(as_picture(eight_YXC, Form.COLOR), eight_YXC[..., 2::-1])
    np.testing.assert_array_equal(as_picture(eight_YXC, Form.STORED), eight_YXC[..., :3])
    gray = as_picture(eight_YXC[..., :1], Form.GRAY)
    np.testing.assert_array_equal(gray, np.repeat(eight_YXC[..., :1], 3, axis=-1))
    dark_YXC = noise(2, np.uint8).transpose(1, 2, 0).astype(np.uint16) + 300  # of 65,535
    picture = as_picture(dark_YXC, Form.STORED)
    assert picture.dtype == np.uint8
    assert picture.min() == 0
    assert picture.max() == 255
    constant = as_picture(np.full((2, 2, 3), np.nan, np.float32), Form.STORED)
    assert constant.shape == (2, 2, 3)
