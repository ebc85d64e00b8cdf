"""Mask R-CNN, multi-scale ViG base (ViG-H-B), COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig-b_maskrcnn.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig_maskrcnn.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_b_84p2acc.pth'
        ),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
