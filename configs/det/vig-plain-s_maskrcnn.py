"""Mask R-CNN, plain ViG small (ViG-S) with a simple feature pyramid, COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig-plain-s_maskrcnn.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig-plain_maskrcnn.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_s_81p7acc.pth'
        ),
    ),
    neck=dict(in_channels=[384]),
)
