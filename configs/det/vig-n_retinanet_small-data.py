"""RetinaNet with a light head, multi-scale ViG nano, a small set of one's own, from random weights.

Command:  python -m mmvig new-config det FOLDER, which writes a config that inherits this one
Cost:     2,000 steps of 2 crops of 320×320: about 11 minutes of one CPU core (AMD EPYC, Zen 4;
          from 501 steps).
Expected: not yet measured at this length; 0.152 box AP on half of the validation images of bccd
          (configs/real) after 501 steps.
Needs:    boxes in COCO form; see docs/own-data.md. For a checkpoint to start from, write load_from.
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../_base_/datasets/small_coco_boxes.py',
    '../_base_/schedules/adamw_small-data.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.MultiScaleViG',
        arch='nano',
        out_indices=(1, 2, 3),  # the maps that the neck reads; one that nobody reads stops DDP
    ),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, start_level=0),
    bbox_head=dict(num_classes=1, in_channels=64, feat_channels=64, stacked_convs=2),
)

default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP')
)
randomness = dict(seed=0)
