"""Which detectors can be exported: those whose parts mean what the modules here compute."""

from collections.abc import Iterable
from typing import Any

import mmcv.ops
from mmdet.models import dense_heads, detectors, roi_heads
from mmdet.models.roi_heads import bbox_heads, mask_heads, roi_extractors
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import nn

from mmvig.checks.errors import UserError

TWO_STAGE = (detectors.FasterRCNN, detectors.MaskRCNN, detectors.CascadeRCNN)
DETECTORS = (detectors.RetinaNet, *TWO_STAGE)
_ROI_HEADS = (roi_heads.StandardRoIHead, roi_heads.CascadeRoIHead)
_BOX_HEADS = (
    bbox_heads.BBoxHead,
    bbox_heads.ConvFCBBoxHead,
    bbox_heads.Shared2FCBBoxHead,
    bbox_heads.Shared4Conv1FCBBoxHead,
)
_NMS_OPTIONS = ('type', 'iou_threshold', 'split_thr')


def check(model: nn.Module) -> None:
    """Refuse a detector with a part that would be exported with another meaning.

    A subclass may change anything, so that only mmdet's own classes are known.

    Raises:
        UserError: with what is supported in the place of the first such part.
    """
    _is_one_of('detector', model, DETECTORS)
    _is('in_channels of the backbone', getattr(model.backbone, 'in_channels', 3), 3)
    if isinstance(model, detectors.RetinaNet):
        _check_dense('bbox_head', model.bbox_head, dense_heads.RetinaHead)
        _check_min_size(model.bbox_head.test_cfg)
        return
    _check_dense('rpn_head', model.rpn_head, dense_heads.RPNHead)
    _is_one_of('roi_head', model.roi_head, _ROI_HEADS)
    _is('shared_head', getattr(model.roi_head, 'shared_head', None), None)
    _check_test_cfg('roi_head', model.roi_head.test_cfg)
    for head in _modules(model.roi_head.bbox_head):
        _is_one_of('bbox_head', head, _BOX_HEADS)
        _check_head('bbox_head', head)
        _is('with_cls of bbox_head', head.with_cls, True)
        _is('with_reg of bbox_head', head.with_reg, True)
    extractors = list(_modules(model.roi_head.bbox_roi_extractor))
    if model.with_mask:
        extractors += _modules(model.roi_head.mask_roi_extractor)
        for head in _modules(model.roi_head.mask_head):
            _is_one_of('mask_head', head, (mask_heads.FCNMaskHead,))
            if head.upsample_method == 'carafe':
                raise UserError(
                    'cannot export a mask_head that upsamples by carafe: expected deconv'
                )
    for extractor in extractors:
        _is_one_of('roi_extractor', extractor, (roi_extractors.SingleRoIExtractor,))
        for layer in extractor.roi_layers:
            _is_one_of('roi_layer', layer, (mmcv.ops.RoIAlign,))
            _is('pool_mode of RoIAlign', layer.pool_mode, 'avg')


def _check_dense(name: str, head: nn.Module, kind: type) -> None:
    _is_one_of(name, head, (kind,))
    _is_one_of(f'anchor_generator of {name}', head.prior_generator, (AnchorGenerator,))
    _check_head(name, head)
    _check_test_cfg(name, head.test_cfg)
    _check_count(name, head.test_cfg, 'nms_pre')


def _check_head(name: str, head: nn.Module) -> None:
    """What the heads of anchors and of proposals have in common."""
    _is_one_of(f'bbox_coder of {name}', head.bbox_coder, (DeltaXYWHBBoxCoder,))
    _is(f'clip_border of the bbox_coder of {name}', head.bbox_coder.clip_border, True)
    _is(f'add_ctr_clamp of the bbox_coder of {name}', head.bbox_coder.add_ctr_clamp, False)
    custom = getattr(head.loss_cls, 'custom_cls_channels', False)
    _is(f'custom_cls_channels of the loss_cls of {name}', custom, False)


def _check_test_cfg(name: str, cfg: dict) -> None:
    nms = cfg.get('nms') or {'type': None}
    _is(f'type of nms in the test_cfg of {name}', nms.get('type', 'nms'), 'nms')
    for option in nms:
        if option not in _NMS_OPTIONS:
            raise UserError(
                f'cannot export {option!r} of nms in the test_cfg of {name}: expected '
                f'{", ".join(_NMS_OPTIONS)}'
            )
    _check_count(name, cfg, 'max_per_img')


def _check_count(name: str, cfg: dict, option: str) -> None:
    """mmdet reads a count that is not given, or not positive, in a way of each head."""
    if cfg.get(option, -1) < 1:
        raise UserError(
            f'expected {option} of at least 1 in the test_cfg of {name}, got {cfg.get(option)}'
        )


def _check_min_size(cfg: dict) -> None:
    """mmdet filters the boxes of a one-stage detector in pixels of the photo, of any scale."""
    if cfg.get('min_bbox_size', -1) > 0:
        raise UserError(
            f'cannot export min_bbox_size {cfg.min_bbox_size} in the test_cfg of bbox_head: '
            'expected 0'
        )


def _is(name: str, found: Any, expected: Any) -> None:
    if found != expected:
        found = found if isinstance(found, str | int | float) else type(found).__name__
        raise UserError(f'cannot export {name} {found}: expected {expected}')


def _is_one_of(name: str, found: Any, expected: Iterable[type]) -> None:
    if type(found) not in expected:
        names = ', '.join(kind.__name__ for kind in expected)
        raise UserError(f'cannot export {name} {type(found).__name__}: expected {names}')


def _modules(module: nn.Module) -> Iterable[nn.Module]:
    return module if isinstance(module, nn.ModuleList) else [module]
