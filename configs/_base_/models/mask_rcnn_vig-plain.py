# Mask R-CNN as mmdet sets it up, on plain ViG tiny with the simple feature pyramid of ViTDet.
_base_ = './mask_rcnn_vig.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.PlainViG',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_t_77p2acc.pth',
        ),
    ),
    neck=dict(
        _delete_=True,
        type='mmvig.SimpleFeaturePyramid',
        in_channels=[192],
        out_channels=256,
        num_outs=5,
    ),
)
