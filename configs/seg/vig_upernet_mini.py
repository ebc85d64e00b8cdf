"""UperNet with light heads, multi-scale ViG nano, the mini data set, from random weights.

Command:  make demo-seg, or python tools/train.py configs/seg/vig_upernet_mini.py
Cost and result, measured on two CPU cores: see README.md.
"""

_base_ = [
    '../_base_/models/upernet_vig.py',
    '../_base_/datasets/mini_ade.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/seg_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(144, 144)),
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64, num_classes=6),
    auxiliary_head=dict(in_channels=128, channels=32, num_classes=6),
)

train_cfg = dict(max_iters=600, val_interval=600)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=600),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10.0))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=300, max_keep_ckpts=1))
randomness = dict(seed=0)
