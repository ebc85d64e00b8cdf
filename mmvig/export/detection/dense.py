"""What the dense heads, RPN and RetinaNet's, predict at every anchor.

N candidates, K classes, D detections, A anchors per place.
"""

from collections.abc import Iterator

import torch
from mmdet.models.dense_heads import RetinaHead, RPNHead
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import Tensor

from .boxes import decode, larger_than, suppress


def propose(head: RPNHead, maps: tuple[Tensor, ...], image_size: Tensor) -> Tensor:
    """Proposals [D, 4], best first: `head.predict`."""
    cfg = head.test_cfg
    found = []
    for level, (scores_NK, deltas_N4, width) in enumerate(_levels(head, maps)):
        scores_N, best = _best(scores_NK[:, 0], cfg.nms_pre)
        anchors_N4 = _anchors(head.prior_generator, level, best, width)
        found.append((anchors_N4, deltas_N4[best], scores_N, torch.full_like(best, level)))
    boxes_D4, _, _ = _finish(head, found, image_size)
    return boxes_D4


def detect(
    head: RetinaHead, maps: tuple[Tensor, ...], image_size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [D, 4], scores [D] and labels [D], best first: `head.predict`."""
    cfg = head.test_cfg
    found = []
    for level, (scores_NK, deltas_N4, width) in enumerate(_levels(head, maps)):
        above = (scores_NK.flatten() > cfg.get('score_thr', 0)).nonzero()[:, 0]
        scores_N, best = _best(scores_NK.flatten()[above], cfg.nms_pre)
        place, labels_N = above[best] // head.num_classes, above[best] % head.num_classes
        anchors_N4 = _anchors(head.prior_generator, level, place, width)
        found.append((anchors_N4, deltas_N4[place], scores_N, labels_N))
    return _finish(head, found, image_size)


def _levels(head: AnchorHead, maps: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Scores [N, K], deltas [N, 4] and width of each level; N = Y·X·A, A fastest."""
    for logits_1CYX, deltas_1CYX in zip(*head(maps), strict=True):
        logits_NK = _by_anchor(logits_1CYX, head.cls_out_channels)
        if head.use_sigmoid_cls:
            scores_NK = logits_NK.sigmoid()
        else:
            scores_NK = logits_NK.softmax(dim=1)[:, :-1]
        yield scores_NK, _by_anchor(deltas_1CYX, 4), logits_1CYX.shape[3]


def _by_anchor(x_1CYX: Tensor, width: int) -> Tensor:
    # Without -1 for N, which the tracer would divide out.
    x_AJN = x_1CYX[0].unflatten(0, (-1, width)).flatten(2)
    return x_AJN.permute(2, 0, 1).flatten(0, 1).float()


def _anchors(generator: AnchorGenerator, level: int, place_N: Tensor, width: int) -> Tensor:
    """The anchors [N, 4] at some places of a level: `generator.sparse_priors`.

    Which takes remainders by the width, and these do not export where it is dynamic.
    """
    base_A4 = generator.base_anchors[level].to(place_N.device)
    cell_N = place_N // len(base_A4)
    row_N = cell_N // width
    corner_N2 = torch.stack([cell_N - row_N * width, row_N], dim=1)
    corner_N2 = corner_N2 * place_N.new_tensor(generator.strides[level])
    return base_A4[place_N % len(base_A4)] + corner_N2.repeat(1, 2)


def _best(scores_N: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best scores, or all if there are fewer, and where they are.

    The first of equals comes first, as mmdet has it: sorting does so, and ONNX's TopK, which takes
    a twentieth of the time, but not torch's.
    """
    if torch.compiler.is_exporting():
        return scores_N.topk(torch.sym_min(count, scores_N.shape[0]))
    scores_N, places_N = scores_N.sort(descending=True, stable=True)
    return scores_N[:count], places_N[:count]


def _finish(
    head: AnchorHead, found: list[tuple[Tensor, Tensor, Tensor, Tensor]], image_size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and groups that remain of the anchors, deltas, scores and groups of levels."""
    cfg = head.test_cfg
    anchors_N4, deltas_N4, scores_N, groups_N = map(torch.cat, zip(*found, strict=True))
    boxes_N4 = decode(head.bbox_coder, anchors_N4, deltas_N4, image_size)
    kept = larger_than(boxes_N4, cfg.get('min_bbox_size', -1))
    boxes_N4, scores_N, groups_N = boxes_N4[kept], scores_N[kept], groups_N[kept]
    kept = suppress(boxes_N4, scores_N, groups_N, cfg.nms)[: cfg.max_per_img]
    return boxes_N4[kept], scores_N[kept], groups_N[kept]
