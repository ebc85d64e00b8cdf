"""Mask R-CNN, plain ViG base (ViG-B) with a simple feature pyramid, COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig-plain-b_maskrcnn.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig-plain_maskrcnn.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_b_82p6acc.pth'
        ),
    ),
    neck=dict(in_channels=[768]),
)
