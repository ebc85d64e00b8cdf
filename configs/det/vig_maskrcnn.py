"""Mask R-CNN, multi-scale ViG tiny (ViG-H-T), COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig_maskrcnn.py 8      (one GPU: --auto-scale-lr)
Cost:     not yet measured.
Expected: not yet measured, and no published value exists; VMamba-T with this recipe publishes
          47.3 box AP, 42.7 mask AP.
Needs:    COCO under data/coco/, and the official ImageNet weights (fetched on first use).
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_1x.py',
    'mmdet::_base_/default_runtime.py',
]
