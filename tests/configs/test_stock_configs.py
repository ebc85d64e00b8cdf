"""Stock models of the MM libraries train on a backbone of mmvig by one line in their configs."""

from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from tests.support.batches import SIZE, cls_batch, det_batch, seg_batch

CHANNELS = [96, 192, 384, 768]
VIG = dict(_delete_=True, type='mmvig.MultiScaleViG', arch='tiny')
PLAIN = dict(_delete_=True, type='mmvig.PlainViG', arch='tiny')


def stock(host: str, name: str, **model: dict) -> Config:
    """A config as the installed library ships it, with `model` merged in as by a derived config."""
    package = Path(find_spec(host).origin).parent
    cfg = Config.fromfile(package / '.mim/configs' / name)
    cfg.merge_from_dict({'model': ConfigDict(deepcopy(model))})  # a merge takes `_delete_` out
    init_default_scope(cfg.get('default_scope', host))
    return cfg


def step(cfg: Config, batch: dict) -> None:
    """One training step of the config's model by its own optimizer settings, on the CPU."""
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.init_weights()
    model.train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    weight = model.backbone.stem[0].conv.weight
    before = weight.detach().clone()
    losses = model.train_step(batch, optim_wrapper)
    assert torch.isfinite(losses['loss'])
    assert not torch.equal(before, weight), 'the gradient reached the first layer'


@pytest.mark.parametrize(
    'name',
    ['retinanet/retinanet_r50_fpn_1x_coco.py', 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'],
    ids=lambda name: name.split('/')[0],
)
def test_mmdet(name):
    step(stock('mmdet', name, backbone=VIG, neck=dict(in_channels=CHANNELS)), det_batch())


def test_mmdet_dino():
    cfg = stock(
        'mmdet', 'dino/dino-4scale_r50_8xb2-12e_coco.py',
        backbone=dict(VIG, out_indices=(1, 2, 3)), neck=dict(in_channels=CHANNELS[1:]),
    )  # fmt: skip
    cfg.model.num_queries = 100  # 900 are more than the tokens of so small an image
    step(cfg, det_batch())


def test_mmdet_mask2former():
    """Its pixel decoder takes the backbone's maps without a neck."""
    cfg = stock(
        'mmdet', 'mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
        backbone=VIG, panoptic_head=dict(in_channels=CHANNELS),
    )  # fmt: skip
    cfg.model.data_preprocessor.batch_augments[0].size = (SIZE, SIZE)
    step(cfg, det_batch())


@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        (
            'fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py',
            dict(decode_head=dict(in_channels=768), auxiliary_head=dict(in_channels=384)),
        ),
        (
            'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
            dict(decode_head=dict(in_channels=CHANNELS)),
        ),
        ('swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py', {}),
    ],
    ids=lambda value: value.split('/')[0] if isinstance(value, str) else '',
)
def test_mmseg(name, heads):
    cfg = stock('mmseg', name, backbone=VIG, **heads)
    cfg.model.pretrained = None
    cfg.model.data_preprocessor.size = (SIZE, SIZE)
    step(cfg, seg_batch())


def test_one_map_without_a_neck():
    """A plain backbone's map at stride 16 alone, under heads that take a single one."""
    one = dict(in_channels=192)
    detector = stock(
        'mmdet', 'faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py',
        backbone=PLAIN, rpn_head=dict(one, feat_channels=192),
        roi_head=dict(bbox_roi_extractor=dict(out_channels=192), bbox_head=one),
    )  # fmt: skip
    step(detector, det_batch())
    segmentor = stock(
        'mmseg', 'fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py',
        backbone=PLAIN, decode_head=dict(one, in_index=0), auxiliary_head=None,
    )  # fmt: skip
    segmentor.model.pretrained = None
    segmentor.model.data_preprocessor.size = (SIZE, SIZE)
    step(segmentor, seg_batch())


def test_mmpretrain():
    cfg = stock(
        'mmpretrain', 'resnet/resnet50_8xb32_in1k.py',
        backbone=dict(VIG, out_indices=(3,)), head=dict(in_channels=768),
    )  # fmt: skip
    step(cfg, cls_batch())
