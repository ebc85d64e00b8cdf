"""Mask R-CNN, multi-scale ViG small (ViG-H-S), COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig-s_maskrcnn.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig_maskrcnn.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_s_83p8acc.pth'
        ),
    )
)
