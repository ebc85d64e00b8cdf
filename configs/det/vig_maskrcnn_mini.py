"""Mask R-CNN with light heads, multi-scale ViG nano, the mini data set, from random weights.

Command:  make demo, or python tools/train.py configs/det/vig_maskrcnn_mini.py
Cost and result, measured on two CPU cores: see README.md.
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig.py',
    '../_base_/datasets/mini_coco.py',
    '../_base_/schedules/adamw_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=5),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=5),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=500), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

train_cfg = dict(max_epochs=7, val_interval=7)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=7, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=10.0))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)
