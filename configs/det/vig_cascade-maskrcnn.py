"""Cascade Mask R-CNN, multi-scale ViG tiny (ViG-H-T), COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig_cascade-maskrcnn.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
"""

_base_ = [
    '../_base_/models/cascade_mask_rcnn_vig.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_1x.py',
    'mmdet::_base_/default_runtime.py',
]
