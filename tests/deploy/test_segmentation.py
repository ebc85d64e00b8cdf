"""Label maps, against mmseg's windows and torch's interpolation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from torch.nn import functional as F

from mmvig.deploy.segmentation import label_map, resize_labels, slide

SIZES = [
    ((50, 70), (123, 99)),
    ((64, 48), (32, 24)),
    ((33, 65), (97, 65)),
    ((40, 40), (40, 40)),
    ((1, 1), (7, 9)),
    ((7, 9), (1, 1)),
    ((256, 341), (480, 640)),
]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('size', 'photo_size'), SIZES)
def test_labels_are_those_of_torch(size, photo_size, align_corners):
    """At every pixel, even of noise, where neighbouring logits have nothing in common."""
    logits = torch.randn(11, *size)
    photo = resize(logits[None], photo_size, mode='bilinear', align_corners=align_corners)
    found = label_map(logits.numpy(), photo_size, align_corners)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, photo[0].argmax(dim=0).numpy())


@pytest.mark.parametrize('size', [(64, 64), (70, 133), (40, 100), (30, 20)])
def test_windows_are_averaged_as_by_mmseg(size):
    image = torch.randn(1, 3, *size)
    settings = SimpleNamespace(stride=(32, 48), crop_size=(64, 64))
    model = SimpleNamespace(
        test_cfg=settings,
        out_channels=3,
        # A smooth function of the window, in which each pixel depends on the window's place.
        encode_decode=lambda x, _: F.avg_pool2d(x, 5, 1, 2),
    )
    expected = EncoderDecoder.slide_inference(model, image, [{}])
    found = slide(
        lambda x: F.avg_pool2d(torch.from_numpy(x), 5, 1, 2).numpy(),
        image.numpy(),
        settings.crop_size,
        settings.stride,
    )
    np.testing.assert_array_equal(found, expected.numpy())


def test_more_classes_than_a_byte_holds():
    logits = np.zeros((300, 2, 3), np.float32)
    logits[299] = 1
    found = label_map(logits, (2, 3), False)
    assert found.dtype == np.uint16
    assert (found == 299).all()


def test_labels_without_logits_are_taken_from_the_nearest_pixel():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(resize_labels(labels, (3, 4)), labels)
    np.testing.assert_array_equal(resize_labels(labels, (9, 12)), labels.repeat(3, 0).repeat(3, 1))
    np.testing.assert_array_equal(resize_labels(labels, (1, 2)), labels[1:2, [0, 2]])
