"""Mask R-CNN, ViR small in bidirectional mode with a simple feature pyramid, COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vir_maskrcnn.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value is known to us.
Needs:    COCO under data/coco/, and ImageNet weights of your own (configs/cls/vir_imagenet.py with
          mode='bidirectional'), for none are published.
"""

_base_ = './vig-plain_maskrcnn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='small',
        mode='bidirectional',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/vir_imagenet/epoch_300.pth'),
    ),
    neck=dict(in_channels=[384]),
)
