"""Predictions by strips go on where they were stopped, and notice a disk that is too small."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.utils import ProgressBar

from mmvig.apis.huge_images import job
from mmvig.cli import predict_huge

from .rasters import FILES, SMALL, STRIPS, files, labels, soft_tiff


class Progress:
    """Told the progress of commands; may end one."""

    def __init__(self, monkeypatch) -> None:
        self.shares: list[float] = []
        self.stop_at = 2.0
        monkeypatch.setattr(predict_huge._Bar, '__call__', self)

    def __call__(self, share: float) -> None:
        self.shares.append(share)
        if share > self.stop_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize('stop_at', [0.02, 0.5, 0.99])
def test_a_stopped_prediction_goes_on(stop_at, image, on_disk, cli, monkeypatch):
    command = ('predict', 'seg.py', 'seg.pth', image, *STRIPS)
    cli.output(*command, '--out', 'whole')
    progress = Progress(monkeypatch)
    progress.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        cli.run(*command, '--out', 'out', '--temp', 'temp')
    assert Path('temp/unfinished-image/prediction.json').is_file()
    assert not files('out'), 'no part of a label image is left'
    progress.stop_at = 2
    before = progress.shares
    progress.shares = []
    result = cli.run(*command, '--out', 'out', '--temp', 'temp')
    assert result.status == 0, result.err
    assert progress.shares[0] >= before[-2], 'at most one strip is computed again'
    np.testing.assert_array_equal(labels('out/pred/image.tif'), labels('whole/pred/image.tif'))
    assert files('out') == files('whole')
    assert not list(Path('temp').iterdir())


@pytest.mark.slow
def test_a_killed_process_goes_on(image, tmp_path):
    """A process that ends at once, without cleaning up."""
    code = """
import os, sys
from mmvig.__main__ import main
from mmvig.apis.huge_images import predict
from mmvig.cli import predict_huge
predict.RAM_BYTES = 0
if sys.argv[1] == 'kill':
    predict_huge._Bar.__call__ = lambda self, share: share > 0.6 and os._exit(9)
else:
    predict_huge._Bar.__call__ = lambda self, share: share > 0.5 or os._exit(8)
main(['predict', 'seg.py', 'seg.pth', 'image.tif', '--out', 'out', '--strips', 'always'])
"""
    for end, status in (('kill', 9), ('go on', 0)):
        done = subprocess.run([sys.executable, '-c', code, end], capture_output=True, text=True)
        assert done.returncode == status, done.stderr[-3000:]
        assert Path('out/unfinished-image').is_dir() == (end == 'kill')
    assert labels('out/pred/image.tif').shape == SMALL
    assert files('out') == FILES


def test_another_image_under_the_same_name(image, on_disk, cli, monkeypatch):
    """What a stopped prediction left is not mixed with it."""
    command = ('predict', 'seg.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    Progress(monkeypatch).stop_at = 0.5
    with pytest.raises(KeyboardInterrupt):
        cli.run(*command)
    soft_tiff('image.tif', dtype=np.uint16)
    message = cli.user_error(*command)
    assert re.match(
        'expected out/unfinished-image to hold the unfinished prediction of image.tif by seg.pth, '
        'it is of another image or checkpoint: remove the folder',
        message,
    )


@pytest.mark.parametrize('place', ['temp', 'out'])
def test_a_disk_that_is_too_small(place, image, on_disk, cli, monkeypatch):
    """Said before anything is computed; nothing is left."""
    progress = Progress(monkeypatch)
    real = shutil.disk_usage
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(
        'shutil.disk_usage', lambda path: usage if place in Path(path).parts else real(path)
    )
    options = ('--out', 'out', '--temp', 'temp', *STRIPS)
    message = cli.user_error('predict', 'seg.py', 'seg.pth', image, *options)
    assert 'of free disk space' in message
    assert place in message
    assert not progress.shares
    assert not files('out') | files('temp')


def test_the_bar_counts_what_is_still_to_do(capsys, monkeypatch):
    counts = []
    monkeypatch.setattr(ProgressBar, 'update', lambda self, n: counts.append(n))
    with predict_huge._Bar() as bar:
        for share in (0.4, 0.404, 0.5, 1):
            bar(share)
    assert '0/60, elapsed: 0s, ETA:' in capsys.readouterr().err
    assert counts == [10, 50]
    with predict_huge._Bar() as bar:
        bar(1)
    assert capsys.readouterr().err == ''


def test_the_mark_of_a_folder(tmp_path):
    """It tells image and checkpoint, by size and time."""
    (tmp_path / 'a').write_text('x')
    work = job.Job(tmp_path / 'a', [], tmp_path / 'work', tmp_path / 'a')
    with job.claimed(work):
        mark = json.loads((tmp_path / 'work' / job.MARK).read_text())
        (tmp_path / 'work/x.mmvig-map').write_text('')
    assert mark['image'] == mark['checkpoint']
    assert mark['image'][0] == 1
    assert (tmp_path / 'work').is_dir()
    (tmp_path / 'work/x.mmvig-map').unlink()
    with job.claimed(work):
        pass
    assert not (tmp_path / 'work').exists()
