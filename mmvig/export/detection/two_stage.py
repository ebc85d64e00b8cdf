"""Faster, Mask and Cascade R-CNN as one module of tensors.

R proposals, N candidates, K classes, D detections, M edge of a mask.
"""

from collections.abc import Sequence

import torch
from mmdet.models.detectors.two_stage import TwoStageDetector
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor, nn

from .boxes import decode, roi_features, suppress
from .dense import propose


class TwoStage(nn.Module):
    """A detector's `predict` for one image: boxes, scores, labels, and masks if it has them."""

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, ...]:
        maps = self.model.extract_feat(image)
        boxes_R4 = propose(self.model.rpn_head, maps, image_size)
        boxes_D4, scores_D, labels_D = self._detect(maps, boxes_R4, image_size)
        if not self.model.with_mask:
            return boxes_D4, scores_D, labels_D
        return boxes_D4, scores_D, labels_D, self._masks(maps, boxes_D4, labels_D)

    def _detect(
        self, maps: tuple[Tensor, ...], boxes_R4: Tensor, image_size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        cfg = self.model.roi_head.test_cfg
        extractors = _stages(self.model.roi_head.bbox_roi_extractor)
        heads = _stages(self.model.roi_head.bbox_head)
        logits = []
        for extractor, head in zip(extractors, heads, strict=True):
            logits_RK, deltas_RJ = head(roi_features(extractor, maps, boxes_R4))
            logits.append(logits_RK.float())
            if head is not heads[-1]:
                labels_R = logits_RK[:, :-1].argmax(dim=1)
                rows_R = torch.arange(boxes_R4.shape[0], device=boxes_R4.device)
                boxes_R4 = _regress(head, boxes_R4, deltas_RJ, rows_R, labels_R, image_size)
        scores_RK = (sum(logits) / len(logits)).softmax(dim=1)[:, :-1]

        # Only candidates above the threshold are decoded; mmdet decodes all and then selects.
        above_N = (scores_RK.flatten() > cfg.score_thr).nonzero()[:, 0]
        rows_N, labels_N = above_N // head.num_classes, above_N % head.num_classes
        boxes_N4 = _regress(head, boxes_R4, deltas_RJ, rows_N, labels_N, image_size)
        scores_N = scores_RK.flatten()[above_N]
        kept = suppress(boxes_N4, scores_N, labels_N, cfg.nms)[: cfg.max_per_img]
        return boxes_N4[kept], scores_N[kept], labels_N[kept]

    def _masks(self, maps: tuple[Tensor, ...], boxes_D4: Tensor, labels_D: Tensor) -> Tensor:
        """Probabilities [D, M, M] over each box, for its class."""
        extractors = _stages(self.model.roi_head.mask_roi_extractor)
        heads = _stages(self.model.roi_head.mask_head)
        rows_D = torch.arange(labels_D.shape[0], device=labels_D.device)
        found = []
        for extractor, head in zip(extractors, heads, strict=True):
            logits_DKMM = head(roi_features(extractor, maps, boxes_D4)).float()
            channel = 0 if head.class_agnostic else labels_D
            found.append(logits_DKMM[rows_D, channel].sigmoid())
        return sum(found) / len(found)


def _stages(module: nn.Module) -> Sequence[nn.Module]:
    """The modules of a cascade's stages; other detectors have one stage."""
    return module if isinstance(module, nn.ModuleList) else [module]


def _regress(
    head: BBoxHead,
    boxes_R4: Tensor,
    deltas_RJ: Tensor,
    rows_N: Tensor,
    labels_N: Tensor,
    image_size: Tensor,
) -> Tensor:
    """Boxes [N, 4]: the proposal of each row, moved as the head says for the label."""
    places = rows_N if head.reg_class_agnostic else rows_N * head.num_classes + labels_N
    deltas_N4 = deltas_RJ.float().reshape(-1, 4)[places]
    return decode(head.bbox_coder, boxes_R4[rows_N], deltas_N4, image_size)
