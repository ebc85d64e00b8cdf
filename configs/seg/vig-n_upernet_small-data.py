"""UperNet with light heads, multi-scale ViG nano, a small set of one's own, from random weights.

Command:  python -m mmvig new-config seg FOLDER, which writes a config that inherits this one
Cost:     1,000 steps of 8 crops of 256×256: about 21 minutes of one CPU core (AMD EPYC).
Expected: not yet measured.
Needs:    an image and a PNG of labels each; see docs/own-data.md. For a checkpoint to start from,
          write load_from.
"""

_base_ = [
    '../_base_/models/upernet_vig.py',
    '../_base_/datasets/small_masks.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/seg_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(256, 256)),
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    # Ignored pixels and those that fill up small images do not count in the mean of the losses.
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        channels=64,
        num_classes=2,
        loss_decode=dict(avg_non_ignore=True),
    ),
    auxiliary_head=dict(
        in_channels=128, channels=32, num_classes=2, loss_decode=dict(avg_non_ignore=True)
    ),
)

train_cfg = dict(max_iters=1000, val_interval=250)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=1000),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10.0))
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=250, max_keep_ckpts=1, save_best='mIoU')
)
randomness = dict(seed=0)
