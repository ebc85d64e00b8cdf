"""`python -m mmvig predict --model`: the same files as by a config, and what wrong input says."""

import json

import cv2
import numpy as np
import pytest

from tests.support.onnx_graphs import write_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with photos and models."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(('a.jpg', 'b.png', 'more/a.png', 'more/c.JPG')):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((40 + i, 60, 3), 50 * i, np.uint8))
    for task in ('detection', 'segmentation', 'classification'):
        write_model(tmp_path / f'{task}.onnx', task)
    return tmp_path


def files(out) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob('*') if path.is_file()}


def test_files_of_each_task(folder, cli):
    photos = ('a.jpg', 'b.png')
    for task, expected in {
        'detection': {'vis/a.jpg', 'vis/b.png', 'preds/a.json', 'preds/b.json'},
        'segmentation': {'vis/a.jpg', 'vis/b.png', 'pred/a.png', 'pred/b.png'},
        'classification': {'vis/a.png', 'vis/b.png', 'preds.json'},
    }.items():
        cli.output('predict', '--model', f'{task}.onnx', *photos, '--out', task)
        assert files(folder / task) == expected | {'sheet.png'}
        for name in ('sheet.png', 'vis/b.png'):
            assert cv2.imread(str(folder / task / name)) is not None
    found = json.loads((folder / 'detection/preds/a.json').read_text())
    assert list(found) == ['labels', 'scores', 'bboxes', 'masks']
    assert list(json.loads((folder / 'classification/preds.json').read_text())) == list(photos)
    labels = cv2.imread(str(folder / 'segmentation/pred/b.png'), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (41, 60)


def test_folders_and_names_that_repeat(folder, cli):
    cli.output('predict', '--model=segmentation.onnx', 'a.jpg', 'more', 'a.jpg', '--out', 'out')
    assert len(files(folder / 'out') - {'sheet.png'}) == 2 * 3


def test_options(folder, cli):
    options = ('--threads', 1, '--score-thr', 0.95)
    cli.output('predict', '--model', 'detection.onnx', 'b.png', '--out', 'out', *options)
    np.testing.assert_array_equal(cv2.imread('out/vis/b.png'), cv2.imread('b.png'))


@pytest.mark.parametrize(
    ('message', 'argv'),
    [
        ('expected an ONNX file at absent.onnx', ['absent.onnx', 'a.jpg', '--out', 'out']),
        ('a.jpg cannot be read as one', ['a.jpg', 'a.jpg', '--out', 'out']),
        ('expected an image or a folder at x.jpg', ['detection.onnx', 'x.jpg', '--out', 'out']),
        ('note.jpg cannot be read', ['detection.onnx', 'note.jpg', '--out', 'out']),
        ('in the folder empty, found none', ['detection.onnx', 'empty', '--out', 'out']),
        ('expected --out to be a folder', ['detection.onnx', 'a.jpg', '--out', 'note.jpg']),
        ('threads to be 1 or more, got 0', ['detection.onnx', 'a.jpg', '--out=o', '--threads=0']),
    ],
)
def test_wrong_input_is_one_line(message, argv, folder, cli):
    (folder / 'note.jpg').write_text('not an image')
    (folder / 'empty').mkdir()
    assert message in cli.user_error('predict', '--model', *argv)
    assert not (folder / 'out').exists()


def test_images_that_cannot_be_read_are_left_out(folder, cli):
    for name in ('more/note.jpg', 'more/empty.png'):
        (folder / name).write_text('not an image' if 'note' in name else '')
    error = cli.user_error('predict', '--model', 'segmentation.onnx', 'more', '--out', 'out')
    assert error.startswith('expected an image, more/empty.png is an empty file; nor can ')
    assert error.endswith('nor can more/note.jpg be predicted; the others are predicted (2)')
    assert {'vis/a.png', 'vis/c.JPG', 'sheet.png'} <= files(folder / 'out')


def test_images_that_are_too_narrow_are_left_out(folder, cli):
    """Scaled into 64×16, a line of pixels vanishes."""
    resize = {'type': 'resize', 'scale': [64, 16], 'keep_ratio': True}
    write_model(folder / 'm.onnx', 'segmentation', steps=(resize,))
    cv2.imwrite('line.png', np.zeros((1, 500, 3), np.uint8))
    error = cli.user_error('predict', '--model', 'm.onnx', 'line.png', 'a.jpg', '--out', 'out')
    assert error.startswith('line.png: expected an image that can be resized for the model, 500×1 ')
    assert error.endswith('would become 64×0; the others are predicted (1)')
    assert 'pred/a.png' in files(folder / 'out')


def test_a_full_disk_is_one_line(folder, cli, monkeypatch):
    monkeypatch.setattr('mmvig.cli.predict_exported.write_text', fill_disk)
    error = cli.user_error('predict', '--model', 'detection.onnx', 'a.jpg', '--out', 'out')
    assert 'No space left on device' in error


def fill_disk(*_) -> None:
    raise OSError(28, 'No space left on device', 'out/preds/a.json')
