"""Mask R-CNN with light heads, multi-scale ViG nano, the mini data set, from random weights.

Command:  make demo, or python tools/train.py configs/det/vig_maskrcnn_mini.py
Cost and result, measured on two CPU cores: see README.md.
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig-light.py',
    '../_base_/datasets/mini_coco.py',
    '../_base_/schedules/adamw_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=5), mask_head=dict(num_classes=5)),
)

train_cfg = dict(max_epochs=5, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10.0))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)
