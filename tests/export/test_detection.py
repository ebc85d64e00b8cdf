"""Exported detectors as modules of torch find what mmdet's `predict` finds, to the last box."""

import pytest
import torch

from mmvig.checks.errors import UserError
from mmvig.export.detection import detector
from mmvig.export.detection.boxes import _levels
from tests.support import detectors

# Rows and columns of the tensor, and of the image in it.
SIZES = [
    ((96, 128), (96, 128)),
    ((97, 131), (97, 131)),
    ((96, 128), (61, 90)),
    ((33, 65), (20, 65)),
    ((5, 3), (5, 3)),
    ((1, 1), (1, 1)),
]
KINDS = ('retinanet', 'faster', 'mask', 'cascade')
ROI = 'model.roi_head'
TEST = 'model.test_cfg'
CARAFE = dict(type='carafe', scale_factor=2, up_kernel=5, up_group=1, encoder_kernel=3)
CARAFE |= dict(encoder_dilation=1, compressed_channels=8)
GENERIC = dict(
    _delete_=True, type='GenericRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=7)
)
GENERIC |= dict(out_channels=16, featmap_strides=[4, 8])


@pytest.fixture(scope='module', params=KINDS)
def model(request):
    cfg = detectors.config(request.param)
    return detectors.build(cfg), cfg


def assert_equal_to_predict(model, exported, tensor, size):
    expected = detectors.predict(model, tensor, size)
    with torch.no_grad():
        found = exported.module(tensor, torch.tensor(size))
    found = dict(zip(exported.outputs, found, strict=True))
    for name, values in (('boxes', expected.bboxes), ('scores', expected.scores)):
        torch.testing.assert_close(found[name], values, rtol=1e-5, atol=1e-5)
    assert found['labels'].tolist() == expected.labels.tolist()
    if 'masks' in found:
        masks = detectors.pasted(found['masks'], found['boxes'], size)
        assert (masks == expected.masks).all()
    return len(expected)


@pytest.mark.parametrize(('tensor_size', 'size'), SIZES)
def test_equal_to_predict(model, tensor_size, size):
    count = assert_equal_to_predict(model[0], detector(*model), detectors.image(*tensor_size), size)
    assert count or min(size) < 20, 'there must be something to compare'


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('retinanet', {f'{TEST}.score_thr': 0.9, f'{TEST}.min_bbox_size': -1}),
        ('retinanet', {f'{TEST}.nms_pre': 100000, f'{TEST}.nms.split_thr': 500}),
        ('retinanet', {'model.bbox_head.loss_cls': dict(_delete_=True, type='CrossEntropyLoss')}),
        ('mask', {f'{ROI}.bbox_head.reg_class_agnostic': True, f'{TEST}.rcnn.max_per_img': 7}),
        ('mask', {f'{ROI}.mask_head.class_agnostic': True, f'{TEST}.rpn.min_bbox_size': 9}),
        ('mask', {f'{ROI}.bbox_roi_extractor.roi_layer.sampling_ratio': 2}),
        ('mask', {f'{ROI}.bbox_roi_extractor.roi_layer.aligned': False}),
        ('mask', {'model.rpn_head.loss_cls.use_sigmoid': False}),
        ('mask', {'model.rpn_head.bbox_coder.target_means': [0.1, 0.0, 0.2, -0.1]}),
        ('cascade', {f'{ROI}.mask_head.class_agnostic': True}),
    ],
    ids=lambda value: None if isinstance(value, str) else ' '.join(value),
)
def test_settings_of_the_config_are_followed(name, changes):
    cfg = detectors.config(name, changes)
    model = detectors.build(cfg)
    assert assert_equal_to_predict(model, detector(model, cfg), detectors.image(64, 96), (64, 90))


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('retinanet', {f'{TEST}.score_thr': 1.1}),
        ('mask', {f'{TEST}.rcnn.score_thr': 1.1}),
        ('cascade', {f'{TEST}.rpn.min_bbox_size': 1e6}),
    ],
    ids=('no candidate', 'no detection', 'no proposal'),
)
def test_nothing_detected(name, changes):
    cfg = detectors.config(name, changes)
    model = detectors.build(cfg)
    exported = detector(model, cfg)
    assert assert_equal_to_predict(model, exported, detectors.image(32, 48), (32, 48)) == 0
    found = exported.module(detectors.image(32, 48), torch.tensor([32, 48]))
    assert [list(x.shape) for x in found] == [[0, 4], [0], [0], [0, 28, 28]][: len(found)]


def test_level_of_a_box_at_the_bounds_of_levels():
    extractor = detectors.build(detectors.config('mask')).roi_head.bbox_roi_extractor
    edges = torch.tensor([0, 1, 111.9, 112, 112.1, 224, 447.9, 448, 448.1, 2000])
    boxes_N4 = torch.stack([edges * 0 + 5, edges * 0, edges + 5, edges], dim=1)
    rois_N5 = torch.cat([torch.zeros(len(edges), 1), boxes_N4], dim=1)
    extractor.finest_scale = 56
    expected = extractor.map_roi_levels(rois_N5, num_levels=4)
    assert _levels(boxes_N4, 56, 4).tolist() == expected.tolist()
    assert set(expected.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ('name', 'changes', 'message'),
    [
        ('mask', {f'{TEST}.rcnn.nms.type': 'soft_nms'}, 'nms in the test_cfg of roi_head soft_nms: '
         'expected nms'),
        ('mask', {f'{TEST}.rpn.nms.max_num': 9}, "'max_num' of nms in the test_cfg of rpn_head"),
        ('mask', {f'{TEST}.rcnn.max_per_img': -1}, 'expected max_per_img of at least 1 in the'),
        ('mask', {f'{TEST}.rpn.nms_pre': -1}, 'nms_pre of at least 1 in the test_cfg of rpn_head'),
        ('retinanet', {f'{TEST}.min_bbox_size': 12}, 'min_bbox_size 12 in the test_cfg of bbox_he'),
        ('retinanet', {'model.bbox_head.bbox_coder.type': 'TBLRBBoxCoder'},
         'bbox_coder of bbox_head TBLRBBoxCoder: expected DeltaXYWHBBoxCoder'),
        ('mask', {f'{ROI}.bbox_head.bbox_coder.clip_border': False}, 'clip_border of the bbox_cod'),
        ('mask', {f'{ROI}.mask_head.upsample_cfg': CARAFE}, 'upsamples by carafe: expected deconv'),
        ('mask', {f'{ROI}.bbox_roi_extractor.roi_layer.pool_mode': 'max'}, 'pool_mode of RoIAlign'),
        ('mask', {f'{ROI}.bbox_roi_extractor': GENERIC},
         'roi_extractor GenericRoIExtractor: expected SingleRoIExtractor'),
        ('mask', {f'{ROI}.type': 'DoubleHeadRoIHead', f'{ROI}.reg_roi_scale_factor': 1.3},
         'roi_head DoubleHeadRoIHead: expected StandardRoIHead, CascadeRoIHead'),
        ('retinanet', {'model.type': 'ATSS'},
         'detector ATSS: expected RetinaNet, FasterRCNN, MaskRCNN, CascadeRCNN'),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused(name, changes, message):
    cfg = detectors.config(name, changes)
    with pytest.raises(UserError) as error:
        detector(detectors.build(cfg), cfg)
    assert message in str(error.value)
    assert '\n' not in str(error.value)


def test_classes_are_those_that_the_model_tells_apart():
    """DetInferencer takes COCO's 80 names for a checkpoint without names."""
    cfg = detectors.config('retinanet')
    model = detectors.build(cfg)
    model.dataset_meta = {'classes': list(map(str, range(80))), 'palette': [(1, 2, 3)] * 4}
    manifest = detector(model, cfg).manifest
    assert manifest.classes == ('0', '1', '2', '3', '4')
    assert len(set(manifest.palette)) == 5
    model.dataset_meta = {'classes': ['a'], 'palette': 'random'}
    with pytest.raises(UserError, match='names of 5 classes in the checkpoint, got 1'):
        detector(model, cfg)


def test_manifest():
    cfg = detectors.config('mask', {f'{TEST}.rcnn.mask_thr_binary': 0.4})
    manifest = detector(detectors.build(cfg), cfg).manifest
    assert manifest.task == 'detection'
    assert manifest.classes == ('a', 'b', 'c', 'd', 'e')
    assert manifest.palette[3] == (3, 9, 200)
    assert manifest.mean == pytest.approx((123.675, 116.28, 103.53))
    assert (manifest.channel_order, manifest.pad_divisor, manifest.pad_value) == ('RGB', 32, 0)
    assert manifest.mask_threshold == 0.4
    assert manifest.config == 'vig_maskrcnn_mini'
