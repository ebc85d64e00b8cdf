"""`mmvig predict` of detectors by strips: equal to the prediction in memory."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmvig.apis.huge_images import choice, overview
from mmvig.deploy.run_lengths import decode
from mmvig.engine.build import build_model
from mmvig.streaming.detection import limits

from .rasters import STRIPS, cut, files, soft_tiff
from .test_stopped import Progress

FILES = {'preds/image.json', 'vis/image.tif', 'sheet.png'}
COMMAND = ('predict', 'det.py', 'many.pth')


@pytest.fixture(scope='module')
def checkpoint(valid_inputs, tmp_path_factory) -> Path:
    """Of det.py, with random weights that detect much, each object with a score of its own."""
    model = build_model(Config.fromfile(valid_inputs / 'det.py'))
    model.load_state_dict(torch.load(valid_inputs / 'det.pth', weights_only=True)['state_dict'])
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if name.startswith(('rpn_head', 'roi_head')) and weight.dim() > 1:
            nn.init.kaiming_normal_(weight, a=10.0 if 'reg' in name else 0.0)
    meta = torch.load(valid_inputs / 'det.pth', weights_only=True)['meta']
    file = tmp_path_factory.mktemp('detector') / 'many.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, file)
    return file


@pytest.fixture
def image(image, checkpoint) -> Path:
    """An image in the working folder, beside det.py and many.pth."""
    Path('many.pth').symlink_to(checkpoint)
    return image


def check_equal(found: str, expected: str) -> None:
    """Predictions as JSON, up to rounding, which is 3e-5 pixels in tests of larger images."""
    found, expected = (json.loads(Path(file).read_text()) for file in (found, expected))
    assert found.keys() == expected.keys()
    assert len(expected['labels']) > 5
    assert found['labels'] == expected['labels']
    np.testing.assert_allclose(found['bboxes'], expected['bboxes'], rtol=0, atol=1e-3)
    np.testing.assert_allclose(found['scores'], expected['scores'], rtol=0, atol=1e-4)
    masks = [np.stack([decode(mask) for mask in one['masks']]) for one in (found, expected)]
    assert (masks[0] != masks[1]).sum() <= 2


@pytest.mark.parametrize('rows', [1, 100])
def test_strips_change_nothing(rows, image, on_disk, cli):
    cli.output(*COMMAND, image, '--out', 'memory', '--results', 'memory.json')
    options = ('--strips', 'always', '--strip-rows', rows)
    cli.output(*COMMAND, image, '--out', 'out', '--results', 'results.json', *options)
    check_equal('out/preds/image.json', 'memory/preds/image.json')
    assert files('out') == FILES == files('memory')
    found, expected = (json.loads(Path(f'{n}.json').read_text()) for n in ('results', 'memory'))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(one['bbox'], other['bbox'], rtol=0, atol=1e-3)
    images = [json.loads(Path(f'{n}.images.json').read_text()) for n in ('results', 'memory')]
    assert images[0] == images[1]


def test_results_alone_leave_nothing_else(image, on_disk, cli):
    Path('there').mkdir()
    cli.output(*COMMAND, image, '--results', 'there/results.json', *STRIPS)
    assert files('there') == {'results.json', 'results.images.json'}


def test_boxes_are_drawn_on_a_reduced_picture(image, cli, monkeypatch):
    """Those above the threshold, where they are."""
    monkeypatch.setattr(overview, 'LONGEST_SIDE', 31)  # of 61 rows
    cli.output(*COMMAND, image, '--out', 'none', '--score-thr', '1.0', *STRIPS)
    cli.output(*COMMAND, image, '--out', 'all', '--score-thr', '0.0', *STRIPS)
    none, drawn = (cv2.imread(f'{n}/vis/image.tif').astype(int) for n in ('none', 'all'))
    assert none.shape == drawn.shape == (31, 24, 3)
    smooth = cv2.resize(cv2.imread(str(image)), (24, 31), interpolation=cv2.INTER_AREA)
    assert np.abs(none - smooth).mean() < 5
    assert (none != drawn).any(-1).mean() > 0.1


def test_larger_images_go_by_strips_of_themselves(image, cli, monkeypatch):
    """Unless the test pipeline changes their size, which bounds the memory they take."""
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    monkeypatch.setattr(choice, 'MOST_WITHOUT_STRIPS', 100)
    result = cli.run(*COMMAND, image, '--out', 'out', '--strip-rows', 7)
    assert result.status == 0, result.err
    assert '%' in result.err or '100/100' in result.err, 'there is a bar'
    resizing('other.py')
    command = ('predict', 'other.py', 'many.pth', image)
    cli.output(*command, '--out', 'memory')
    assert files('memory') == FILES
    cli.output(*command, '--out', 'kept', '--no-resize')
    check_equal('kept/preds/image.json', 'out/preds/image.json')
    message = cli.user_error(*command, '--out', 'refused', '--strips', 'always')
    assert '--no-resize leaves it out' in message
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 10**6)
    cli.output(*command, '--out', 'small', '--no-resize')
    check_equal('small/preds/image.json', 'out/preds/image.json')


def resizing(name: str) -> None:
    cfg = Config.fromfile('det.py')
    cfg.test_dataloader.dataset.pipeline[1] = dict(type='Resize', scale=(40, 40), keep_ratio=True)
    cfg.dump(name)


def test_limits(image, cli, monkeypatch):
    """A photo has as many objects as test_cfg allows; a note says how to get more."""
    cfg = Config.fromfile('det.py')
    cfg.model.test_cfg.rcnn.max_per_img = 2
    cfg.dump('few.py')
    command = ('predict', 'few.py', 'many.pth', image, '--out', 'out', *STRIPS)
    result = cli.run(*command)
    note = 'image.tif has 2 objects, the most that max_per_img of test_cfg allows'
    assert note in result.out + result.err
    assert len(json.loads(Path('out/preds/image.json').read_text())['labels']) == 2
    monkeypatch.setattr(limits, 'PHOTO_PIXELS', 61 * 47 / 3)
    result = cli.run(*command, '--scale-limits')
    assert note not in result.out + result.err
    assert len(json.loads(Path('out/preds/image.json').read_text())['labels']) == 6


@pytest.mark.parametrize('stop_at', [0.5, 0.99])
def test_a_stopped_prediction_goes_on(stop_at, image, on_disk, cli, monkeypatch):
    """With its maps, or those of them that there were."""
    cli.output(*COMMAND, image, '--out', 'whole', *STRIPS)
    progress = Progress(monkeypatch)
    progress.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        cli.run(*COMMAND, image, '--results', 'found.json', *STRIPS)
    assert Path('unfinished-image/prediction.json').is_file()
    progress.stop_at = 2
    progress.shares = []
    cli.output(*COMMAND, image, '--out', 'out', '--temp', '.', *STRIPS)
    assert progress.shares[0] > 0.4
    check_equal('out/preds/image.json', 'whole/preds/image.json')
    assert not Path('unfinished-image').exists()


def test_a_broken_image(image, on_disk, cli):
    soft_tiff('good.tif')
    cut(image)
    message = cli.user_error(*COMMAND, image, 'good.tif', '--out', 'out', *STRIPS)
    assert message.startswith('expected a whole image, image.tif is cut short')
    assert files('out') == {'preds/good.json', 'vis/good.tif', 'sheet.png'}


def test_detectors_that_have_no_strips(image, cli, monkeypatch):
    """Up to a size they detect in memory."""
    cfg = Config.fromfile('det.py')
    cfg.model.rpn_head.num_convs = 2
    cfg.model.roi_head.bbox_roi_extractor.type = 'GenericRoIExtractor'
    cfg.dump('other.py')
    model = build_model(cfg)
    meta = torch.load('det.pth', weights_only=True)['meta']
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, 'other.pth')
    command = ('predict', 'other.py', 'other.pth', image, '--out', 'out')
    reason = 'expected a SingleRoIExtractor of RoIAlign, got GenericRoIExtractor of RoIAlign'
    assert reason in cli.user_error(*command, '--strips', 'always')
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    result = cli.run(*command)
    assert reason in result.out + result.err
    assert files('out') == FILES
    monkeypatch.setattr(choice, 'MOST_WITHOUT_STRIPS', 200)
    assert reason in cli.user_error(*command)
