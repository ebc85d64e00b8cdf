"""Boxes and masks in pixels of the photo, against mmdet; run lengths against pycocotools."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.structures.bbox import scale_boxes
from pycocotools import mask as coco

from mmvig.deploy import run_lengths
from mmvig.deploy.detection import paste, to_photo

# Largest distance from the threshold at which a pixel was seen on the other side than in mmdet, in
# 1 of 68.5 million: half a unit in the last place of 0.5 and above.
ROUNDING = 6e-8


def mmdet_paste(mask_MM: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """Probabilities in the photo; zero outside of the box."""
    values, place = _do_paste_mask(
        torch.from_numpy(mask_MM)[None, None], torch.from_numpy(box)[None], height, width
    )
    whole_YX = np.zeros((height, width), np.float32)
    whole_YX[place] = values[0].numpy()
    return whole_YX


def decode(lengths: dict) -> np.ndarray:
    return coco.decode(lengths | {'counts': lengths['counts'].encode()}).astype(bool)


def random_boxes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Four boxes as of a detector: clipped at the border; the last two have no extent."""
    x = np.sort(rng.uniform(-9, width + 9, (4, 2)).clip(0, width))
    y = np.sort(rng.uniform(-9, height + 9, (4, 2)).clip(0, height))
    x[2, 1] = x[2, 0]
    x[3], y[3] = np.floor(x[3, 0]) + 0.5, np.floor(y[3, 0]) + 0.5  # at the center of a pixel
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)


def test_masks_are_pasted_as_by_mmdet():
    rng = np.random.default_rng(0)
    for trial in range(100):
        height, width = map(int, rng.integers(1, 300, 2))
        mask_MM = (1 / (1 + np.exp(-3 * rng.normal(size=(28, 28))))).astype(np.float32)
        if trial % 2:
            mask_MM = cv2.blur(mask_MM, (9, 9))
        for box in random_boxes(rng, height, width):
            expected = mmdet_paste(mask_MM, box, height, width)
            found = decode(paste(mask_MM, box, (height, width), 0.5))
            differs = found != (expected >= 0.5)
            assert np.abs(expected[differs] - 0.5).max(initial=0) <= ROUNDING
            assert differs.sum() <= 1


@pytest.mark.parametrize('masks', [False, True])
def test_boxes_are_scaled_as_by_mmdet(masks):
    """Bit by bit: heads with masks divide by the scale, others multiply with its inverse."""
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 800, (50, 4)).astype(np.float32)
    outputs = {'boxes': boxes, 'scores': boxes[:, 0], 'labels': np.arange(50)}
    if masks:
        outputs['masks'] = rng.uniform(0, 1, (50, 2, 2)).astype(np.float32)
    scale = (1333 / 641, 800 / 385)  # of the width and of the height
    found = to_photo(outputs, (800, 1333), (385, 641), 0.5)
    tensor = torch.from_numpy(boxes)
    if masks:
        expected = tensor / tensor.new_tensor(scale).repeat((1, 2))
    else:
        expected = scale_boxes(tensor, [1 / s for s in scale])
    np.testing.assert_array_equal(found.bboxes, expected.numpy())
    assert (found.masks is not None) == masks


def test_nothing_found():
    empty = {
        'boxes': np.zeros((0, 4), np.float32),
        'scores': np.zeros(0, np.float32),
        'labels': np.zeros(0, np.int64),
        'masks': np.zeros((0, 28, 28), np.float32),
    }
    found = to_photo(empty, (8, 8), (16, 16), 0.5)
    assert found.as_dict() == {'labels': [], 'scores': [], 'bboxes': [], 'masks': []}


@given(
    mask_YX=arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    margins=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_run_lengths_are_those_of_pycocotools(mask_YX, margins):
    """Of a mask inside an image, also where it fills columns, and back."""
    top, bottom, left, right = margins
    whole_YX = np.pad(mask_YX, ((top, bottom), (left, right)))
    expected = coco.encode(np.asfortranarray(whole_YX.astype(np.uint8)))
    found = run_lengths.encode(mask_YX, top, left, whole_YX.shape)
    assert found == {'size': list(whole_YX.shape), 'counts': expected['counts'].decode()}
    np.testing.assert_array_equal(run_lengths.decode(found), whole_YX)


@pytest.mark.parametrize('value', [False, True])
def test_run_lengths_of_large_images(value):
    """Of runs that take six groups of bits, with a sign."""
    whole_YX = np.full((2**25 + 9, 1), value)
    whole_YX[99, 0] = not value
    expected = coco.encode(np.asfortranarray(whole_YX.view(np.uint8)))
    found = run_lengths.encode(whole_YX, 0, 0, whole_YX.shape)
    assert found['counts'] == expected['counts'].decode()
    np.testing.assert_array_equal(run_lengths.decode(found), whole_YX)
