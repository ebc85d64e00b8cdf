"""A disk that fills up while a command writes: the message names the place, old files stay."""

import os
import resource
import shutil
import subprocess

import pytest
import torch

from mmvig import checkpoint

LIMIT = 2**20  # bytes that a file may have; a checkpoint has more, a log less


@pytest.fixture
def full_disk():
    """No file can grow over a limit: like a full disk to a writer, but for the error's number.

    Unlike a small file system it needs no privileges.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def small_disk(input_folder):
    """A file system at work_dirs that `small_disk()` leaves 256 KiB free of."""
    place = input_folder / 'work_dirs'
    place.mkdir()
    mount = subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', place], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f'no right to mount a file system: {mount.stderr.strip()}')

    def fill() -> None:
        space = os.statvfs(place)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        options = f'remount,size={used + 2**18}'
        subprocess.run(['mount', '-o', options, place], check=True)

    yield fill
    subprocess.run(['umount', '--lazy', place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('disk', 'reason'),
    [('full_disk', 'File too large'), ('small_disk', 'No space left on device')],
)
def test_training_keeps_the_last_good_checkpoint(disk, reason, request, input_folder, cli):
    fill = request.getfixturevalue(disk)
    cli.output('train', 'det.py')
    good = input_folder / 'work_dirs/det/epoch_1.pth'
    before = good.read_bytes()
    fill()
    options = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    message = cli.user_error('train', 'det.py', *options)
    assert message.startswith('work_dirs/det'), message
    assert reason in message
    assert 'epoch_1.pth is the last checkpoint, to go on from by --resume' in message
    assert good.read_bytes() == before
    assert checkpoint.read(str(good))['state_dict']
    assert [path.name for path in good.parent.glob('*.pth*')] == ['epoch_1.pth']


def test_converting_leaves_the_old_file(tmp_path, monkeypatch, full_disk, cli):
    monkeypatch.chdir(tmp_path)
    weights = {'classifier.head.weight': torch.zeros(LIMIT)}
    torch.save({'model': weights}, tmp_path / 'official.pth')
    (tmp_path / 'ours.pth').write_bytes(b'old')
    full_disk()
    message = cli.user_error('convert', 'official.pth', 'ours.pth')
    assert message == 'could not write ours.pth: File too large'
    assert (tmp_path / 'ours.pth').read_bytes() == b'old'
    assert not (tmp_path / 'ours.pth.part').exists()


def test_no_incomplete_mini_set_is_left(tmp_path, monkeypatch, cli):
    """The set is many small files; the disk is full at the tenth."""
    import mmcv

    monkeypatch.chdir(tmp_path)
    written = []
    original = mmcv.imwrite

    def write(image, path):
        written.append(path)
        if len(written) == 10:
            raise OSError(28, 'No space left on device')
        return original(image, path)

    monkeypatch.setattr(mmcv, 'imwrite', write)
    message = cli.user_error('draw-mini')
    assert 'could not draw the mini data set into data/mini' in message
    assert 'No space left on device' in message
    assert not list((tmp_path / 'data').iterdir())
    shutil.rmtree(tmp_path / 'data')
