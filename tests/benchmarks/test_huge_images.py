"""The benchmark of huge images, at sizes that are not: its numbers, rows and picture."""

import csv
import sys
from contextlib import redirect_stdout

import cv2
import pytest
import torch

pytest.importorskip('rasterio')

from benchmarks import huge_images
from mmvig.datasets import far_ends
from tests.support.cli import forget_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The results of a run on few and small images."""
    folder = tmp_path_factory.mktemp('huge')
    options = ('--archs', 'nano', '--sides', '96', '--iterations', '2', '--work', 'work',
               '--results', 'rows', '--picture', 'shown/windows.jpg')  # fmt: skip
    forget_runs()
    with pytest.MonkeyPatch.context() as patch, (folder / 'output.txt').open('w') as output:
        patch.chdir(folder)
        patch.setenv('PYTHONPATH', str(huge_images.ROOT))
        patch.setattr(sys, 'argv', ['huge_images'])  # what rows keep as their command
        patch.setitem(far_ends.SPLITS, 'training', (8, 2_000_000))
        patch.setitem(far_ends.SPLITS, 'validation', (1, 3_000_000))
        with redirect_stdout(output):
            huge_images.main(['all', *options])
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


def test_the_training_starts_from_values_of_torch(folder):
    """With mmseg's standard deviation of 0.01, nothing is learned of the ends."""
    trained = torch.load(folder / 'work/training/iter_2.pth', weights_only=False)['state_dict']
    for head in ('decode_head', 'auxiliary_head'):
        assert trained[f'{head}.conv_seg.weight'].std() > 0.05


def test_the_tables(folder):
    text = (folder / 'output.txt').read_text()
    assert '| nano | 96 |' in text
    assert '| 96 | 256 |' in text
