"""The benchmark of huge images, at sizes that are not: its numbers, rows and picture."""

import csv

import cv2
import pytest

from tests.support.commands import benchmark

pytest.importorskip('rasterio')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('huge')
    sizes = ('--archs', 'nano', '--sides', 96)
    training = ('--iterations', 2, '--picture', 'shown/windows.jpg')
    places = ('--work', 'work', '--results', 'rows')
    done = benchmark('huge_images', 'all', *sizes, *training, *places, cwd=folder)
    (folder / 'output.txt').write_text(done.stdout)
    return folder


def rows(folder, name: str) -> list[dict[str, str]]:
    with (folder / f'rows/huge_{name}.csv').open() as file:
        return list(csv.DictReader(file))


def test_memory_time_and_error(folder):
    (row,) = rows(folder, 'memory')
    assert (row['arch'], row['side']) == ('nano', '96')
    assert 100 < float(row['model_mib']) <= float(row['peak_mib']) < 4096
    assert float(row['seconds_per_megapixel']) > 0
    assert row['commit']
    assert float(row['relative_error']) < 1e-5
    assert row['labels_differ'] == '0'


def test_windows_are_compared_with_the_whole(folder):
    """A window as large as the image sees the whole; of two iterations nothing is learned."""
    one, two = rows(folder, 'windows')
    assert (one['window'], two['window']) == ('128', '256')
    for row in (one, two):
        assert row['labels_differ'] == '0.0'
        assert row['bars_right'] == row['bars_right_whole']
        assert 0 <= float(row['bars_right']) <= 1
    picture = cv2.imread(str(folder / 'shown/windows.jpg'))
    assert picture.shape == (96, 5 * 96 + 4 * 8, 3)


def test_the_tables(folder):
    text = (folder / 'output.txt').read_text()
    assert '| nano | 96 |' in text
    assert '| 96 | 256 |' in text
