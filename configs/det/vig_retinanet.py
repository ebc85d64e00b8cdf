"""RetinaNet, multi-scale ViG tiny (ViG-H-T), COCO 2017 boxes, 1x.

Command:  tools/dist_train.sh configs/det/vig_retinanet.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.MultiScaleViG',
        arch='tiny',
        out_indices=(1, 2, 3),  # the maps that the neck reads; one that nobody reads stops DDP
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_t_82p8acc.pth',
        ),
    ),
    neck=dict(in_channels=[192, 384, 768], start_level=0),
)
