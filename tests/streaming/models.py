"""Tiny segmentors of every backbone and neck, with weights that leave nothing out of sight."""

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from torch import nn

from mmvig.streaming import ArraySink, Workspace, stream_segmentation

SIZES = dict(channels=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), hidden=(8,) * 4)
VIG = dict(type='mmvig.MultiScaleViG', arch=SIZES)
LINGLO = dict(type='mmvig.LinGlo', arch=SIZES | dict(depths=(2, 2, 2, 2)))
PLAIN = dict(
    type='mmvig.PlainViG', arch=dict(channels=16, depth=2, heads=2, hidden=8, activation=True)
)
VIR = dict(
    type='mmvig.ViR',
    arch=dict(channels=16, depth=2, heads=2),
    mode='bidirectional',
    layer_scale_init_value=0.5,
)
FPN = dict(type='mmdet.FPN', in_channels=[8, 8, 16, 16], out_channels=8, num_outs=5)
EXTRA_CONVS = dict(start_level=1, add_extra_convs='on_output', relu_before_extra_convs=True)
PYRAMID = dict(type='mmvig.SimpleFeaturePyramid', in_channels=[16], out_channels=8, num_outs=4)


def segmentor(
    backbone: dict = VIG,
    widths: tuple[int, ...] = (8, 8, 16, 16),
    neck: dict | None = None,
    **head,
) -> EncoderDecoder:
    """In eval mode and float64, with batch statistics as after training."""
    torch.manual_seed(0)
    model = EncoderDecoder(
        data_preprocessor=dict(
            type='mmvig.SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        backbone=backbone,
        neck=neck,
        decode_head={
            'type': 'mmseg.UPerHead',
            'in_channels': list(widths),
            'in_index': list(range(len(widths))),
            'channels': 8,
            'num_classes': 5,
            'norm_cfg': dict(type='BN'),
            **head,
        },
        test_cfg=ConfigDict(mode='whole'),
    )
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1, 0.3)
            nn.init.normal_(part.bias, 0, 0.3)
    for name, parameter in model.named_parameters():
        if name.endswith(('pos_embed', 'cls_token', 'conv_seg.weight')):
            nn.init.normal_(parameter)
    return model.double().eval()


def draw(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise: no row is like another one."""
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@torch.no_grad()
def in_memory(model: EncoderDecoder, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [Y, X, classes] and labels [Y, X] of an image in BGR, as mmseg predicts them."""
    inputs = [torch.from_numpy(image).permute(2, 0, 1)]
    inputs = model.data_preprocessor({'inputs': inputs})['inputs']
    (sample,) = model.predict(inputs.to(next(model.parameters())))
    return sample.seg_logits.data.permute(1, 2, 0).numpy(), sample.pred_sem_seg.data[0].numpy()


def by_strips(model, image, workspace: Workspace, **options) -> np.ndarray:
    """The labels [Y, X] of an image in BGR."""
    labels = ArraySink()
    with workspace:
        stream_segmentation(model, image, labels, workspace, **{'channel_order': 'bgr', **options})
    return labels.array
