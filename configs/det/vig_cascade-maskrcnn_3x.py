"""Cascade Mask R-CNN, multi-scale ViG tiny (ViG-H-T), COCO 2017, 3x with multi-scale crop.

Command:  tools/dist_train.sh configs/det/vig_cascade-maskrcnn_3x.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
"""

_base_ = [
    '../_base_/models/cascade_mask_rcnn_vig.py',
    '../_base_/datasets/coco_instance_ms_crop.py',
    '../_base_/schedules/adamw_3x.py',
    'mmdet::_base_/default_runtime.py',
]
