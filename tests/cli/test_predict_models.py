"""Prediction with weights that name no classes, and with models of other channels than three."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmvig.apis.class_names import whole_palette
from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.apis.video import Video
from mmvig.engine.build import build_model


@pytest.mark.parametrize(
    ('task', 'classes'),
    [('det', ['square', 'disc']), ('seg', ['ground', 'square', 'disc'])],
)
def test_bare_weights_have_the_classes_of_the_config(task, classes, models, valid_inputs, tmp_path):
    config, path = models[task]
    weights = torch.load(path, weights_only=True)['state_dict']
    torch.save(weights, tmp_path / 'bare.pth')
    predictor = Predictor(Config.fromfile(config), str(tmp_path / 'bare.pth'), 'cpu')
    assert predictor.classes == classes
    (prediction,) = predictor.predict([valid_inputs / 'data/images/0.jpg'])
    assert prediction.picture_YXC.shape == (64, 64, 3)


def test_classes_without_colours_are_drawn(models, valid_inputs, tmp_path):
    config, path = models['seg']
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta'] = {'dataset_meta': {'classes': ('a', 'b', 'c')}}
    torch.save(checkpoint, tmp_path / 'names.pth')
    predictor = Predictor(Config.fromfile(config), str(tmp_path / 'names.pth'), 'cpu')
    assert list(predictor.classes) == ['a', 'b', 'c']
    (prediction,) = predictor.predict([valid_inputs / 'data/images/0.jpg'])
    assert prediction.picture_YXC.shape == (64, 64, 3)
    assert whole_palette([[1, 2, 3]], 1) == [[1, 2, 3]]
    assert np.shape(whole_palette(None, 5)) == (5, 3)


@pytest.fixture(scope='module')
def four_channels(models, tmp_path_factory):
    """A predictor that reads four channels."""
    folder = tmp_path_factory.mktemp('four')
    cfg = Config.fromfile(models['seg'][0])
    cfg.model.backbone.in_channels = 4
    cfg.model.data_preprocessor.update(mean=[1.0], std=[1.0], bgr_to_rgb=False)
    cfg.test_dataloader.dataset.pipeline[0].color_type = 'unchanged'
    meta = {'dataset_meta': {'classes': ('a', 'b', 'c')}}
    torch.save({'state_dict': build_model(cfg).state_dict(), 'meta': meta}, folder / 'four.pth')
    return Predictor(cfg, str(folder / 'four.pth'), 'cpu')


def test_images_of_other_channels_are_told_and_left_out(four_channels, valid_inputs, tmp_path):
    cv2.imwrite(str(tmp_path / 'four.png'), np.zeros((64, 64, 4), np.uint8))
    three, errors = valid_inputs / 'data/images/0.jpg', []
    images = [three, tmp_path / 'four.png']
    predictions = list(four_channels.predict(images, 2, on_error=errors.append))
    assert [prediction.image for prediction in predictions] == [tmp_path / 'four.png']
    (error,) = errors
    assert 'expected a number of channels of 4' in str(error)
    assert str(error).endswith(f'{three} has 3')


def test_a_video_of_other_channels_is_told_before_its_first_frame(four_channels, tmp_path):
    path = tmp_path / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 64))
    writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    video = Video(path)
    with pytest.raises(ImageError, match=r'channels of 4 .*clip\.mp4 has 3'):
        four_channels.predict(video)
    assert video.frames_read == 0
