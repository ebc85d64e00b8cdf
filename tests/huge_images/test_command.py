"""`mmvig predict` by strips of rows: equal to the prediction in memory."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config

from mmvig.apis.huge_images import choice, size
from mmvig.engine.build import build_model

from .rasters import FILES, STRIPS, cut, damage, files, in_memory, labels, soft_tiff


@pytest.mark.parametrize('rows', [1, 7, 100])
def test_strips_change_nothing(rows, image, on_disk, cli):
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'memory', '--results', 'maps')
    options = ('--out', 'out', '--results', 'huge', '--strips', 'always', '--strip-rows', rows)
    cli.output('predict', 'seg.py', 'seg.pth', image, *options)
    np.testing.assert_array_equal(labels('out/pred/image.tif'), in_memory('memory/pred/image.png'))
    np.testing.assert_array_equal(labels('huge/image.tif'), in_memory('maps/image.png'))
    drawn = cv2.imread('out/vis/image.tif')
    np.testing.assert_array_equal(drawn, cv2.imread('memory/vis/image.tif'))
    assert files('out') == FILES
    assert files('huge') == {'image.tif'}


def test_label_images_have_place_and_colors(image, cli):
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    with rasterio.open('out/pred/image.tif') as file:
        assert file.crs.to_epsg() == 32633
        assert file.colormap(1)[0] == (9, 99, 199, 255)
        assert file.dtypes == ('uint8',)


@pytest.mark.parametrize(
    ('name', 'settings'),
    [
        ('deep.tif', {'dtype': np.uint16}),
        ('gray.tif', {'count': 1}),
        ('alpha.tif', {'count': 4, 'alpha': 'yes'}),
        ('near-infrared.tif', {'count': 4, 'alpha': 'unspecified'}),
    ],
)
def test_other_bands_are_taken_as_in_memory(name, settings, input_folder, cli):
    image = soft_tiff(name, **settings)
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'memory')
    result = cli.run('predict', 'seg.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    said = f'the last band of {name} is not read' in result.out + result.err
    assert said == (name == 'near-infrared.tif')
    expected = in_memory(f'memory/pred/{image.stem}.png')
    np.testing.assert_array_equal(labels(f'out/pred/{name}'), expected)


def many_bands(count: int) -> None:
    """many.py and many.pth: a model of so many bands, with the loader of tifffile."""
    cfg = Config.fromfile('seg.py')
    cfg.model.backbone.in_channels = count
    cfg.model.data_preprocessor.update(mean=[30_000.0], std=[9000.0], bgr_to_rgb=False)
    cfg.test_dataloader.dataset.pipeline[0] = dict(
        type='LoadImageFromFile', imdecode_backend='tifffile'
    )
    meta = torch.load('seg.pth', weights_only=True)['meta']
    torch.save({'state_dict': build_model(cfg).state_dict(), 'meta': meta}, 'many.pth')
    cfg.dump('many.py')


def test_many_bands(input_folder, cli):
    """In memory only the model itself takes them: OpenCV, which checks files, does not."""
    many_bands(6)
    image = soft_tiff('image.tif', count=6, dtype=np.uint16)
    cli.output('predict', 'many.py', 'many.pth', image, '--out', 'out', *STRIPS)
    cfg = Config.fromfile('many.py')
    model = build_model(cfg).eval()
    model.load_state_dict(torch.load('many.pth', weights_only=True)['state_dict'])
    bands = torch.from_numpy(rasterio.open(image).read().astype(np.float32))
    with torch.no_grad():
        batch = model.data_preprocessor({'inputs': [bands]}, False)
        expected = model.predict(batch['inputs'])[0].pred_sem_seg.data[0]
    np.testing.assert_array_equal(labels('out/pred/image.tif'), expected)


def test_bands_that_the_model_does_not_take(input_folder, cli):
    many_bands(6)
    image = soft_tiff('image.tif', count=5)
    message = cli.user_error('predict', 'many.py', 'many.pth', image, '--out', 'out', *STRIPS)
    assert message == (
        'expected an image of 6 channels, as in_channels of model.backbone says, the test pipeline '
        'loads 5 of image.tif'
    )
    message = cli.user_error('predict', 'seg.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    assert message.startswith('expected 1, 3 or 4 bands for LoadImageFromFile, image.tif has 5')
    assert not files('out')


@pytest.mark.parametrize(('harm', 'word'), [(cut, 'cut short'), (damage, 'cannot be read as one')])
def test_a_broken_image(harm, word, image, on_disk, cli):
    """One line, and nothing is left; another image beside it is predicted."""
    soft_tiff('good.tif')
    harm(image)
    options = ('--out', 'out', *STRIPS)
    message = cli.user_error('predict', 'seg.py', 'seg.pth', image, *options)
    assert re.match('expected a whole image, image.tif ', message)
    assert word in message
    assert not files('out')
    message = cli.user_error('predict', 'seg.py', 'seg.pth', image, 'good.tif', *options)
    assert message.endswith('; the others are predicted (1)')
    assert files('out') == {'pred/good.tif', 'vis/good.tif', 'sheet.png'}


def test_larger_images_go_by_strips_of_themselves(image, cli, monkeypatch):
    """Smaller ones beside them stay in memory."""
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    cv2.imwrite('small.png', np.zeros((9, 9, 3), np.uint8))
    cli.output('predict', 'seg.py', 'seg.pth', image, 'small.png', '--out', 'out')
    assert files('out') == FILES | {'pred/small.png', 'vis/small.png'}
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'never', '--strips', 'never')
    assert 'pred/image.png' in files('never')


RESIZE = (
    "_base_ = './seg.py'\n"
    'test_dataloader = dict(dataset=dict(pipeline=[\n'
    "    dict(type='LoadImageFromFile'),\n"
    "    dict(type='Resize', scale=(40, 40), keep_ratio=True),\n"
    "    dict(type='PackSegInputs')]))\n"
)
SLIDE = (
    "_base_ = './seg.py'\n"
    "model = dict(test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(32, 32)))\n"
)


@pytest.mark.parametrize(
    ('text', 'reason'), [(RESIZE, '--no-resize leaves it out'), (SLIDE, 'slides windows')]
)
def test_a_config_that_does_not_mean_strips(text, reason, image, cli, monkeypatch):
    """Up to a second size it is predicted in memory with a note, above it is refused."""
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    Path('other.py').write_text(text)
    command = ('predict', 'other.py', 'seg.pth', image, '--out', 'out')
    result = cli.run(*command)
    assert result.status == 0, result.err
    assert reason in result.out + result.err
    assert 'pred/image.png' in files('out')
    monkeypatch.setattr(choice, 'MOST_WITHOUT_STRIPS', 200)
    message = cli.user_error(*command)
    assert message.startswith('image.tif has 0.00287 megapixels, more than is held in memory')
    assert reason in message


def test_windows_are_not_slid_by_strips(image, cli):
    Path('other.py').write_text(SLIDE)
    cli.output('predict', 'other.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'memory')
    np.testing.assert_array_equal(labels('out/pred/image.tif'), in_memory('memory/pred/image.png'))


def test_no_resize(image, cli):
    Path('other.py').write_text(RESIZE)
    options = ('--out', 'out', '--no-resize')
    cli.output('predict', 'other.py', 'seg.pth', image, *options, *STRIPS)
    cli.output('predict', 'seg.py', 'seg.pth', image, '--out', 'memory')
    np.testing.assert_array_equal(labels('out/pred/image.tif'), in_memory('memory/pred/image.png'))
    cli.output('predict', 'other.py', 'seg.pth', image, *options)
    np.testing.assert_array_equal(
        in_memory('out/pred/image.png'), in_memory('memory/pred/image.png')
    )


@pytest.mark.parametrize(
    ('message', 'config', 'options'),
    [
        ('expected --strip-rows to be at least 1, got 0', 'seg', ('--strip-rows', 0)),
    ],
)
def test_options_that_do_not_fit(message, config, options, image, cli):
    files = (f'{config}.py', f'{config}.pth', image)
    assert message in cli.user_error('predict', *files, '--out', 'out', *options)


def test_without_rasterio(image, cli, monkeypatch):
    monkeypatch.setattr(choice, 'find_spec', lambda name: None)
    message = cli.user_error('predict', 'seg.py', 'seg.pth', image, '--out', 'out', *STRIPS)
    assert "pip install -e '.[huge]'" in message


def test_the_sizes_are_those_of_the_page_and_the_help(cli, root):
    page = (root / 'docs/huge-images.md').read_text()
    for pixels in (size.MOST_IN_MEMORY, size.MOST_WITHOUT_STRIPS):
        assert size.format_size(pixels) in page
    assert size.format_size(size.MOST_IN_MEMORY) in cli.run('predict', '--help').out
