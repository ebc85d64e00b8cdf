"""UperNet, multi-scale ViG tiny (ViG-H-T), Cityscapes, 80k iterations, 1024×1024.

Command:  tools/dist_train.sh configs/seg/vig_upernet_cityscapes.py 4   (batch 8)
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
Needs:    Cityscapes under data/cityscapes/ with the labelTrainIds masks (mmseg's
          tools/dataset_converters/cityscapes.py writes them).
"""

_base_ = [
    '../_base_/models/upernet_vig.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/seg_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(1024, 1024)),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19),
)

train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=80000),
]
default_hooks = dict(checkpoint=dict(interval=8000))
auto_scale_lr = dict(base_batch_size=8)
