"""RetinaNet, Faster, Mask and Cascade R-CNN of mmdet as one traceable module each."""

import torch
from mmdet.models.detectors import RetinaNet
from mmengine.config import Config
from torch import nn
from torch.export import Dim

from ..exportable import Exportable
from .manifest import manifest
from .one_stage import OneStage
from .supported import check
from .two_stage import TwoStage


def detector(model: nn.Module, cfg: Config) -> Exportable:
    """A detector with everything that its `predict` does, from image to boxes and masks.

    Heads, anchors, coders and thresholds are the model's own. mmcv's operators, which ONNX does not
    have, are replaced by torchvision's, and no branch depends on a number of boxes. Boxes and
    scores are computed in float32 whatever the dtype of the model.

    Args:
        model: as DetInferencer leaves it, with `dataset_meta`.
        cfg: its config.

    Raises:
        UserError: the detector, a part of it or its test pipeline is of a kind that this does not
            export.
    """
    check(model)
    kind = OneStage if isinstance(model, RetinaNet) else TwoStage
    return Exportable(
        module=kind(model).eval(),
        inputs=('image', 'image_size'),
        outputs=('boxes', 'scores', 'labels', *(('masks',) if model.with_mask else ())),
        examples=(torch.zeros(1, 3, 320, 512), torch.tensor([310, 500])),
        dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, {}),
        manifest=manifest(model, cfg),
    )
