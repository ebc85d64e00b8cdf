"""Classification, multi-scale ViG nano, crops of the mini data set, from random weights.

Command:  python tools/train.py configs/cls/vig_classifier_mini.py
Cost and result, measured on two CPU cores: see README.md.
"""

_base_ = [
    '../_base_/models/classifier_vig.py',
    '../_base_/schedules/adamw_300e.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(
        num_classes=5, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(arch='nano', drop_path_rate=0.0),
    head=dict(num_classes=5, in_channels=256, topk=(1,)),
    train_cfg=None,
)

_load = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64))]
_mini = dict(type='mmvig.MiniCropsDataset', data_root='data/mini/')
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **_mini,
        data_prefix='crops/training',
        pipeline=[*_load, dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **_mini, data_prefix='crops/validation', pipeline=[*_load, dict(type='PackInputs')]
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=5, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
custom_hooks = []
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)
