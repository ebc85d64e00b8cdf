"""Boxes of the exported detectors: decoding, non-maximum suppression, RoI features.

The mathematics of mmdet and mmcv in operators that ONNX has and for any number of boxes, none
included: no branch depends on a number. N boxes, D those kept, K classes, L levels.
"""

import numpy as np
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor
from torchvision.ops import nms, roi_align

# mmdet's bound of a box's change in size, one side, in one step.
_MAX_RATIO = abs(np.log(16 / 1000))


def decode(
    coder: DeltaXYWHBBoxCoder, boxes_N4: Tensor, deltas_N4: Tensor, image_size: Tensor
) -> Tensor:
    """Boxes moved and scaled by what a head predicts, cut to the image: `coder.decode`."""
    deltas_N4 = deltas_N4 * deltas_N4.new_tensor(coder.stds) + deltas_N4.new_tensor(coder.means)
    center_N2 = (boxes_N4[:, :2] + boxes_N4[:, 2:]) * 0.5
    size_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    center_N2 = center_N2 + size_N2 * deltas_N4[:, :2]
    size_N2 = size_N2 * deltas_N4[:, 2:].clamp(-_MAX_RATIO, _MAX_RATIO).exp()
    boxes_N4 = torch.cat([center_N2 - size_N2 * 0.5, center_N2 + size_N2 * 0.5], dim=1)
    limit_4 = image_size.flip(0).repeat(2).to(boxes_N4.dtype)
    return torch.minimum(boxes_N4.clamp(min=0), limit_4)


def larger_than(boxes_N4: Tensor, min_size: float) -> Tensor:
    """Indices of the boxes with both sides longer than `min_size`; of all if it is negative."""
    size_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    return (size_N2 > min_size).all(dim=1).nonzero()[:, 0]


def suppress(boxes_N4: Tensor, scores_N: Tensor, groups_N: Tensor, cfg: dict) -> Tensor:
    """Indices that non-maximum suppression within each group keeps, best first: `batched_nms`.

    Args:
        boxes_N4: boxes without negative coordinates.
        scores_N: their scores.
        groups_N: their classes or levels; boxes of different groups leave each other alone.
        cfg: `nms` of a test_cfg.
    """
    # Apart by more than the largest coordinate, in float32 as mmcv does it: the rounding of large
    # offsets decides about boxes whose overlap is at the threshold.
    largest = torch.cat([boxes_N4.flatten(), boxes_N4.new_zeros(1)]).max()
    boxes_N4 = boxes_N4 + (groups_N.to(boxes_N4.dtype) * (largest + 1))[:, None]
    # mmcv compares with the threshold in float32, torchvision in float64.
    return nms(boxes_N4, scores_N, float(np.float32(cfg['iou_threshold'])))


def roi_features(
    extractor: SingleRoIExtractor, maps: tuple[Tensor, ...], boxes_N4: Tensor
) -> Tensor:
    """Features [N, C, Y, X] of each box from the map of its level: `extractor(maps, rois)`."""
    layers = extractor.roi_layers
    maps = maps[: len(layers)]
    rois_N5 = torch.cat([boxes_N4.new_zeros(boxes_N4.shape[0], 1), boxes_N4], dim=1)
    levels_N = _levels(boxes_N4, extractor.finest_scale, len(layers))
    features = maps[0].new_zeros(
        boxes_N4.shape[0], maps[0].shape[1], *layers[0].output_size, dtype=torch.float32
    )
    for level, (layer, map_1CYX) in enumerate(zip(layers, maps, strict=True)):
        chosen = (levels_N == level).nonzero()[:, 0]
        found = roi_align(
            map_1CYX.float(),
            rois_N5[chosen],
            layer.output_size,
            layer.spatial_scale,
            layer.sampling_ratio,
            layer.aligned,
        )
        features = features.index_put((chosen,), found)
    return features.to(maps[0].dtype)


def _levels(boxes_N4: Tensor, finest_scale: float, num_levels: int) -> Tensor:
    """Levels of boxes by their size: `map_roi_levels`, by comparisons instead of a logarithm.

    Runtimes round a logarithm differently, and its integer part jumps.
    """
    size_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    scale_N = (size_N2[:, 0] * size_N2[:, 1]).sqrt() / finest_scale + 1e-6
    bounds_L = scale_N.new_tensor([2.0**level for level in range(1, num_levels)])
    return (scale_N[:, None] >= bounds_L).sum(dim=1)
