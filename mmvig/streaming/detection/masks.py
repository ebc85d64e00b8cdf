"""Masks of objects as run lengths of the whole image, of which only the box is ever drawn."""

import copy
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_masks
from torch import Tensor, nn

from mmvig.deploy.run_lengths import encode
from mmvig.streaming.errors import StreamingError
from mmvig.streaming.maps import Map

MOST_PIXELS = 2**22  # of a mask drawn at once
AT_ONCE = 64  # objects whose masks are predicted together


def with_run_lengths(roi_head: nn.Module) -> nn.Module:
    """The RoI head, which is changed: its `predict_mask` gives run lengths of COCO, not canvases.

    Raises:
        StreamingError: it has another mask head than `FCNMaskHead`.
    """
    heads = roi_head.mask_head
    several = isinstance(heads, nn.ModuleList)
    last = heads[-1] if several else heads
    if type(last).__name__ != 'FCNMaskHead':
        raise StreamingError(f'expected a mask head FCNMaskHead, got {type(last).__name__}')
    drawn = copy.copy(last)
    drawn.predict_by_feat = _Drawing(last)
    roi_head.mask_head = nn.ModuleList([*heads[:-1], drawn]) if several else drawn
    return roi_head


def predict_masks(
    roi_head: nn.Module, maps: list[Map], meta: dict, objects: InstanceData
) -> list[dict]:
    """The masks of objects, predicted from the top of the image to the bottom.

    Args:
        roi_head: by `with_run_lengths`.
        maps: given to its `predict_mask`.
        meta: the image's.
        objects: with boxes and labels.
    """
    masks: list[dict | None] = [None] * len(objects)
    for part in objects.bboxes[:, 1].argsort(stable=True).split(AT_ONCE):
        (found,) = roi_head.predict_mask(maps, [meta], [objects[part]], rescale=False)
        for i, mask in zip(part.tolist(), found.masks, strict=True):
            masks[i] = mask
    return masks


class _Drawing:
    """`predict_by_feat` of a mask head, of one image: with its function that draws a mask."""

    def __init__(self, head: nn.Module) -> None:
        self._head = head

    def __call__(
        self,
        mask_preds: list[Tensor],
        results_list: list[InstanceData],
        batch_img_metas: list[dict],
        rcnn_test_cfg: dict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> list[InstanceData]:
        (results,) = results_list
        size_YX = batch_img_metas[0]['ori_shape'][:2]
        masks = []
        for i, box in enumerate(results.bboxes.tolist()):
            one = slice(i, i + 1)
            draw = partial(
                self._draw, mask_preds[0][one], results.bboxes[one], results.labels[one],
                rcnn_test_cfg, activate_map,
            )  # fmt: skip
            masks.append(_run_lengths(draw, box, size_YX))
        results.masks = masks
        return results_list

    def _draw(
        self,
        mask_preds: Tensor,
        boxes: Tensor,
        labels: Tensor,
        rcnn_test_cfg: dict,
        activate_map: bool,
        corner_XY: tuple[int, int],
        shape_YX: tuple[int, int],
    ) -> np.ndarray:
        """The mask [Y, X] of one object in a part of the image, as if that were the whole."""
        offset = torch.tensor(corner_XY * 2, dtype=boxes.dtype, device=boxes.device)
        mask_1YX = self._head._predict_by_feat_single(
            mask_preds=mask_preds,
            bboxes=boxes - offset,
            labels=labels,
            img_meta=dict(ori_shape=shape_YX, scale_factor=(1.0, 1.0)),
            rcnn_test_cfg=rcnn_test_cfg,
            rescale=False,
            activate_map=activate_map,
        )
        return mask_1YX[0].bool().cpu().numpy()


def _run_lengths(draw: Callable, box: list[float], size_YX: tuple[int, int]) -> dict:
    """Run lengths of a mask that is drawn a few columns of its box at a time.

    Args:
        draw: gives the mask in a part of the image by its upper left corner and its shape.
        box: x1, y1, x2, y2, beyond which there is one pixel of the mask at most.
        size_YX: of the image.
    """
    left, top = (max(math.floor(n) - 1, 0) for n in box[:2])
    right, bottom = (
        min(math.ceil(n) + 1, most) for n, most in zip(box[2:], size_YX[::-1], strict=True)
    )
    columns = max(1, MOST_PIXELS // max(1, bottom - top))
    parts = []
    for x in range(left, right, columns):
        mask_YX = draw((x, top), (bottom - top, min(x + columns, right) - x))
        parts.append(encode(mask_YX, top, x, size_YX))
    if len(parts) == 1:
        return parts[0]
    counts = coco_masks.merge(parts)['counts']
    return {'size': list(size_YX), 'counts': counts.decode()}
