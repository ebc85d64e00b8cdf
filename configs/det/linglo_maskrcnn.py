"""Mask R-CNN, LinGlo tiny (our reading of the paper's abstract), COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/linglo_maskrcnn.py 8
Cost:     not yet measured.
Expected: not yet measured; no number of the paper is claimed.
Needs:    COCO under data/coco/, and ImageNet weights of your own (configs/cls/linglo_imagenet.py),
          for none are published.
"""

_base_ = './vig_maskrcnn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.LinGlo',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/linglo_imagenet/epoch_300.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
