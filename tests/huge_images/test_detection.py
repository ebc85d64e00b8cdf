"""Boxes and masks by strips equal those that mmdet detects in one piece."""

import numpy as np
import pytest
import torch
from mmcv.ops import bbox_overlaps
from mmdet.structures.mask import encode_mask_results
from torch import nn

from mmvig.deploy.run_lengths import decode
from mmvig.streaming import ArrayRows, StreamingError, Workspace
from mmvig.streaming.detection import limits, masks, plan_detection
from tests.streaming.models import FPN, LINGLO, PLAIN, PYRAMID, VIG, draw

from .detection_models import NAMES, by_strips, detector, in_memory

SHAPE = (150, 131)  # padded to 160×160
REPLACED = dict(_delete_=True)  # the whole part of a config
TINY = dict(strip_rows=5, memory_bytes=2**14)  # windows of few positions


@pytest.fixture(scope='module', params=NAMES)
def model(request) -> nn.Module:
    return detector(request.param)


@pytest.fixture(scope='module')
def mask_rcnn() -> nn.Module:
    return detector('mask')


def check_equal(found, expected, atol: float = 2e-4) -> None:
    """Boxes are right up to `atol` pixels, and so are their scores up to a tenth of it.

    Measured in float32: 3e-5 pixels, and 6e-6.
    """
    assert len(found) == len(expected)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=0, atol=atol)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=atol / 10)
    assert torch.equal(found.labels, expected.labels)
    if 'masks' in expected:
        drawn = torch.from_numpy(np.stack(list(map(decode, found.masks))))
        # Measured: one pixel of one shape, whose value is 0.5 up to rounding.
        assert (drawn != expected.masks).sum() <= 2
        assert expected.masks.any()
    assert ('masks' in found) == ('masks' in expected)


@pytest.mark.filterwarnings('ignore:To copy construct from a tensor')  # of mmdet
def test_objects_are_those_in_memory(model):
    image = draw(*SHAPE)
    expected = in_memory(model, image)
    assert len(expected) >= 60  # the most that test_cfg allows
    for options in (dict(), dict(strip_rows=1), TINY):
        check_equal(by_strips(model, image, **options), expected)


@pytest.mark.filterwarnings('ignore:To copy construct from a tensor')
@pytest.mark.parametrize('shape', [(1, 40), (96, 3), (64, 64)], ids=str)
def test_shapes(model, shape):
    """Narrow ones, and one that needs no padding."""
    image = draw(*shape)
    check_equal(by_strips(model, image, strip_rows=2), in_memory(model, image))


@pytest.mark.parametrize(
    ('backbone', 'neck'),
    [
        (PLAIN, PYRAMID),
        (VIG, FPN | dict(num_outs=4)),
        (LINGLO, FPN | dict(num_outs=4)),
    ],
    ids=lambda part: part['type'],
)
def test_other_backbones_and_necks(backbone, neck):
    neck = neck | dict(out_channels=16)
    strides = {'rpn_head.anchor_generator.strides': [4, 8, 16, 32]}
    model = detector('mask', **strides, backbone=backbone | REPLACED, neck=neck | REPLACED)
    image = draw(*SHAPE)
    check_equal(by_strips(model, image, strip_rows=3), in_memory(model, image))


def test_objects_over_borders_of_strips_are_found_once(mask_rcnn):
    """Two boxes of a class that overlap more than allowed would be one object."""
    found = by_strips(mask_rcnn, draw(*SHAPE), strip_rows=1)
    heights = found.bboxes[:, 3] - found.bboxes[:, 1]
    assert (heights > 8).sum() > 50  # rows of the finest map are four pixels
    overlaps = bbox_overlaps(found.bboxes, found.bboxes).fill_diagonal_(0)
    same = found.labels[:, None] == found.labels
    assert overlaps[same].max() <= mask_rcnn.test_cfg.rcnn.nms.iou_threshold


def test_masks_are_drawn_by_columns(mask_rcnn, monkeypatch):
    """Of an object that is too large to be drawn at once."""
    image = draw(*SHAPE)
    monkeypatch.setattr(masks, 'MOST_PIXELS', 100)
    monkeypatch.setattr(masks, 'AT_ONCE', 7)
    found, expected = by_strips(mask_rcnn, image), in_memory(mask_rcnn, image)
    check_equal(found, expected)
    # Run lengths that were joined are written as pycocotools writes those of the whole.
    assert [run['counts'] for run in found.masks] == [
        run['counts'].decode() for run in encode_mask_results(expected.masks.numpy())
    ]


def test_nothing_is_found():
    model = detector('mask', **{'test_cfg.rcnn.score_thr': 1.0})
    found = by_strips(model, draw(40, 50))
    assert len(found) == 0
    assert found.masks == []


def test_channels_in_the_order_of_files(mask_rcnn):
    image = draw(40, 50)
    found = by_strips(mask_rcnn, image[..., ::-1], channel_order='rgb')
    check_equal(found, in_memory(mask_rcnn, image))


def test_limits_grow_with_the_image(monkeypatch):
    """Beyond a photo; up to there, and by default, they are those of the config."""
    few = {'test_cfg.rcnn.max_per_img': 3, 'test_cfg.rpn.max_per_img': 40}
    more = {'test_cfg.rcnn.max_per_img': 7, 'test_cfg.rpn.max_per_img': 82}
    model, larger = detector('faster', **few), detector('faster', **more)
    larger.rpn_head.test_cfg.nms_pre = 611  # of 300
    image = draw(*SHAPE)
    check_equal(by_strips(model, image, scale_limits=True), in_memory(model, image))
    monkeypatch.setattr(limits, 'PHOTO_PIXELS', SHAPE[0] * SHAPE[1] / 2.035)
    check_equal(by_strips(model, image), in_memory(model, image))
    check_equal(by_strips(model, image, scale_limits=True), in_memory(larger, image))


class KilledError(Exception):
    pass


@pytest.mark.parametrize('share', [0.3, 0.97, 1.0])
def test_a_killed_run_goes_on(mask_rcnn, tmp_path, share):
    """Also when its maps were complete, and the heads had begun."""
    image = draw(*SHAPE)
    told = []

    def kill(done: float) -> None:
        told.append(done)
        if done >= share:
            raise KilledError

    def workspace() -> Workspace:
        return Workspace(tmp_path, resume=True, ram_bytes=0, seconds=0)

    by_strips(mask_rcnn, image, strip_rows=4, on_progress=told.append)
    all_steps = len(told)
    with pytest.raises(KilledError):
        by_strips(mask_rcnn, image, workspace(), strip_rows=4, on_progress=kill)
    told.clear()
    found = by_strips(mask_rcnn, image, workspace(), strip_rows=4, on_progress=told.append)
    check_equal(found, in_memory(mask_rcnn, image))
    assert len(told) < (1.1 - min(share, 0.8)) * all_steps
    assert told[-1] == 1
    assert not list(tmp_path.iterdir())


def test_a_result_lost_after_the_last_step_is_found_again(mask_rcnn, tmp_path):
    """The process ended before it wrote what it had found."""
    image = ArrayRows(draw(40, 50))
    workspace = Workspace(tmp_path, resume=True, ram_bytes=0)
    workspace.run(plan_detection(mask_rcnn, image, channel_order='bgr'))
    workspace.__exit__(KilledError, None, None)
    found = by_strips(mask_rcnn, image.array, Workspace(tmp_path, resume=True, ram_bytes=0))
    again = by_strips(mask_rcnn, image.array)
    assert len(found) > 0
    assert torch.equal(found.bboxes, again.bboxes)
    assert torch.equal(found.scores, again.scores)
    assert found.masks == again.masks
    assert not list(tmp_path.iterdir())


def test_needed_space_is_said(mask_rcnn):
    """The maps of the neck, in float32: 16 channels on 40², 20² and 10² positions."""
    plan = plan_detection(mask_rcnn, ArrayRows(draw(*SHAPE)))
    assert plan.needed_bytes >= 4 * 16 * (40**2 + 20**2 + 10**2)


def test_what_cannot_be_streamed_is_refused():
    def refused(model: nn.Module, message: str) -> None:
        with pytest.raises(StreamingError, match=message):
            plan_detection(model, ArrayRows(np.zeros((8, 8, 3), np.uint8)))

    refused(detector('mask').train(), 'expected a model in eval mode')
    refused(detector('faster', **{'test_cfg.rpn.nms_pre': -1}), 'nms_pre .* of RPNHead.*got -1')
    groups = dict(type='GN', num_groups=2)
    refused(detector('retinanet', **{'bbox_head.norm_cfg': groups}), 'on rows, got GroupNorm')
    rotated = detector('faster')
    rotated.rpn_head.__class__ = type('GARPNHead', (type(rotated.rpn_head),), {})
    refused(rotated, 'expected a head RPNHead or RetinaHead, got GARPNHead')
    scoring = detector('mask')
    scoring.roi_head.__class__ = type('MaskScoringRoIHead', (type(scoring.roi_head),), {})
    refused(scoring, 'StandardRoIHead or CascadeRoIHead, got MaskScoringRoIHead')
    layer = dict(_delete_=True, type='RoIPool', output_size=7)
    pooled = detector('faster', **{'roi_head.bbox_roi_extractor.roi_layer': layer})
    refused(pooled, 'expected a SingleRoIExtractor of RoIAlign, got .* of RoIPool')
    other = detector('faster')
    other.__class__ = type('PanopticFPN', (type(other),), {})
    refused(other, 'expected a detector .*, got PanopticFPN')
