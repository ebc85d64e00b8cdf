"""Backbones for images of one channel, or of more than three."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmvig.checkpoint import fit_input_channels, load_pretrained
from mmvig.checks import UserError
from mmvig.engine.build import build_model
from mmvig.engine.flops import count_flops
from mmvig.models.backbones import MultiScaleViG
from tests.support.backbone_cases import CASES

SMALL = dict(arch='nano', frozen_stages=-1)
GREY = dict(mean=[100.0], std=[50.0])
FOUR = dict(mean=None, std=None, bgr_to_rgb=False)


@pytest.fixture(scope='module')
def rgb(tmp_path_factory):
    """A backbone for three channels in float64, and its weights in a file."""
    torch.manual_seed(0)
    backbone = MultiScaleViG(**SMALL).double().eval()
    path = str(tmp_path_factory.mktemp('weights') / 'rgb.pth')
    torch.save(backbone.state_dict(), path)
    return backbone, path


@pytest.mark.parametrize('channels', [1, 6])
def test_fitted_weights_see_what_three_channels_saw(channels, rgb):
    """One channel as three equal ones; six channels, of which three repeat the others, as three."""
    backbone, path = rgb
    fitted = MultiScaleViG(**SMALL, in_channels=channels).double().eval()
    load_pretrained(fitted, path)
    image = torch.rand(1, 1 if channels == 1 else 3, 64, 48, dtype=torch.float64)
    expected = backbone(image.expand(-1, 3, -1, -1))
    with torch.no_grad():
        found = fitted(image.repeat(1, channels // image.shape[1], 1, 1))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.detach(), atol=1e-12, rtol=0)


@pytest.mark.parametrize('name', CASES)
def test_every_backbone_is_fitted(name, tmp_path):
    torch.save(CASES[name].build().state_dict(), tmp_path / 'rgb.pth')
    fitted = CASES[name].build(in_channels=4)
    load_pretrained(fitted, str(tmp_path / 'rgb.pth'))
    rgb_weights = torch.load(tmp_path / 'rgb.pth', weights_only=True)
    changed = [
        key for key, value in fitted.state_dict().items() if value.shape != rgb_weights[key].shape
    ]
    (stem,) = changed
    first, fourth = fitted.state_dict()[stem][:, 0], fitted.state_dict()[stem][:, 3]
    assert torch.equal(first, fourth)
    torch.testing.assert_close(first, rgb_weights[stem][:, 0] * 3 / 4)


def test_nothing_else_is_fitted(rgb):
    backbone, path = rgb
    weights = torch.load(path, weights_only=True)
    shapes = {key: value.shape for key, value in weights.items()}
    assert fit_input_channels(weights, shapes)[1] == ''
    four = MultiScaleViG(**SMALL, in_channels=4)
    torch.save(four.state_dict(), path + '4')
    with pytest.raises(ValueError, match='of another shape: stem.0.conv.weight'):
        load_pretrained(backbone, path + '4')


def test_what_was_done_is_logged(rgb, capfd):
    MMLogger.get_instance('channels')
    load_pretrained(MultiScaleViG(**SMALL, in_channels=1), rgb[1])
    logged = capfd.readouterr().out
    assert 'stem.0.conv.weight for 3 input channels is summed for 1' in logged


def config(name: str, channels: int, color: str, preprocessor: dict) -> Config:
    """det.py or seg.py for images of some channels."""
    cfg = Config.fromfile(f'{name}.py')
    cfg.model.backbone.in_channels = channels
    cfg.model.data_preprocessor.update(preprocessor)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.pipeline[0].color_type = color
    return cfg


@pytest.mark.parametrize(
    ('name', 'channels', 'color', 'preprocessor'),
    [
        ('det', 1, 'grayscale', dict(GREY, bgr_to_rgb=False)),
        ('seg', 1, 'grayscale', GREY),
        ('det', 4, 'unchanged', FOUR),
        ('seg', 4, 'unchanged', FOUR),
    ],
)
def test_commands_take_other_channels(name, channels, color, preprocessor, input_folder, cli):
    config(name, channels, color, preprocessor).dump('other.py')
    if channels == 4:
        for path in (input_folder / 'data/images').iterdir():
            picture = cv2.imread(str(path))
            path.unlink()
            alpha = np.full((*picture.shape[:2], 1), 200, np.uint8)
            content = cv2.imencode('.png', np.concatenate([picture, alpha], 2))[1].tobytes()
            path.write_bytes(content)  # read by its content, not by its ending
    assert '"macs"' in cli.output('flops', 'other.py', '--shape', 64, 64, '--json')
    cli.output(
        'inspect', 'other.py', 'data/images/0.jpg', '--layers', 'stages.0.blocks.0', '--out', 'o'
    )
    assert list((input_folder / 'o').glob('*features.png'))
    no_validation = ('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None')
    start = [f'load_from={name}.pth'] if channels == 1 else []  # weights for three channels
    out = cli.output(
        'train', 'other.py', '--work-dir', 'run', '--cfg-options', *no_validation, *start
    )
    assert ('for 3 input channels is summed for 1' in out) == (channels == 1)
    assert list((input_folder / 'run').glob('*.pth'))


def test_operations_of_the_stem_are_of_its_channels(input_folder):
    one, four = (
        count_flops(config('seg', n, 'grayscale', settings), (64, 64))['parts']['backbone']['macs']
        for n, settings in ((1, GREY), (4, FOUR))
    )
    assert four - one == 3 * 9 * 16 * 32 * 32  # 3×3, into 16 channels, at half the size


@pytest.mark.parametrize(
    ('name', 'channels', 'preprocessor', 'words'),
    [
        ('det', 1, {}, 'mean and std to have one number, .*got 3'),
        ('seg', 4, {}, 'mean and std to have 4 numbers or one, .*got 3'),
        ('det', 1, GREY, 'bgr_to_rgb=False'),
        ('det', 4, dict(FOUR, bgr_to_rgb=True), 'bgr_to_rgb=False'),
    ],
)
def test_a_preprocessor_for_three_is_refused(name, channels, preprocessor, words, input_folder):
    with pytest.raises(UserError, match=words):
        build_model(config(name, channels, 'color', preprocessor))


def test_other_images_are_named(input_folder, cli):
    config('seg', 1, 'color', GREY).dump('other.py')
    message = cli.user_error('train', 'other.py')
    assert 'expected a number of channels of 1 after the pipeline' in message
    assert 'data/images/' in message
