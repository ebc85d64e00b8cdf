"""Test-time augmentation of boxes with masks."""

import torch
from mmcv.ops import batched_nms
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmvig.registry import MODELS

# The axes of a mask [rows, columns] that a flip of the image reverses.
FLIPPED_AXES = {'horizontal': [-1], 'vertical': [-2], 'diagonal': [-2, -1]}


@MODELS.register_module()
class InstanceSegTTAModel(DetTTAModel):
    """`mmdet.DetTTAModel`, which refuses masks, for models that predict them.

    Boxes of all views are merged by non-maximum suppression, as there; a box that is kept keeps the
    mask that its view had for it, turned back where the view was flipped.

    Args:
        tta_cfg (dict): `nms` and `max_per_img` of the merged boxes, as for `DetTTAModel`.
    """

    def _merge_single_sample(self, data_samples: list[DetDataSample]) -> DetDataSample:
        views = [sample.pred_instances for sample in data_samples]
        if any('masks' not in view for view in views):
            return super()._merge_single_sample(data_samples)
        metas = [sample.metainfo for sample in data_samples]
        boxes, scores = self.merge_aug_bboxes(
            [view.bboxes for view in views], [view.scores for view in views], metas
        )
        merged = data_samples[0]
        if boxes.numel() == 0:
            return merged
        labels = torch.cat([view.labels for view in views])
        _, kept = batched_nms(boxes, scores, labels, self.tta_cfg.nms)
        kept = kept[: self.tta_cfg.max_per_img]
        merged.pred_instances = InstanceData(
            bboxes=boxes[kept],
            scores=scores[kept],
            labels=labels[kept],
            masks=_pick_masks([view.masks for view in views], metas, kept),
        )
        return merged


def _pick_masks(masks_NYX: list[Tensor], metas: list[dict], kept: Tensor) -> Tensor:
    """The masks of kept boxes, counted through all views, as the image is without a flip.

    Whole masks of all views would take gigabytes on a large image.
    """
    starts = [0]
    for view in masks_NYX:
        starts.append(starts[-1] + len(view))
    picked = []
    for index in kept.tolist():
        view = next(i for i, start in enumerate(starts[1:]) if index < start)
        mask_YX = masks_NYX[view][index - starts[view]]
        if metas[view]['flip']:
            mask_YX = mask_YX.flip(FLIPPED_AXES[metas[view]['flip_direction']])
        picked.append(mask_YX)
    return torch.stack(picked)
