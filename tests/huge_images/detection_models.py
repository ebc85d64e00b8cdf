"""Small detectors of mmdet on a backbone of mmvig, and their objects in memory and by strips."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import nn

from mmvig.streaming import ArrayRows, Workspace
from mmvig.streaming.detection import stream_detection
from tests.streaming.models import SIZES
from tests.support import detectors

NAMES = ('retinanet', 'faster', 'mask', 'cascade')
BACKBONE = dict(type='mmvig.MultiScaleViG', arch=SIZES, out_indices=(0, 1))


def detector(name: str, **changes) -> nn.Module:
    """In eval mode, with random weights; `changes` are settings of the model by dotted names."""
    cfg = detectors.config(name)
    cfg.model.backbone = BACKBONE
    cfg.model.neck.in_channels = [8, 8]
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    model = detectors.build(cfg)
    # Many scores would be 1 in float32, and torch sorts equal ones in any order.
    last = model.bbox_head.retina_cls if name == 'retinanet' else model.rpn_head.rpn_cls
    last.weight.data.mul_(0.1)
    return model


@torch.no_grad()
def in_memory(model: nn.Module, image: np.ndarray):
    """mmdet's own objects in an image in BGR, as `InstanceData`."""
    size = image.shape[:2]
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=meta)]
    inputs = [torch.from_numpy(image).permute(2, 0, 1)]
    batch = model.data_preprocessor({'inputs': inputs, 'data_samples': samples})
    return model.predict(batch['inputs'], batch['data_samples'])[0].pred_instances


def by_strips(model: nn.Module, image: np.ndarray, workspace: Workspace | None = None, **options):
    """The objects of an image in BGR; maps are files."""
    with workspace or Workspace(ram_bytes=0) as workspace:
        return stream_detection(
            model, ArrayRows(image), workspace, **{'channel_order': 'bgr', **options}
        )
