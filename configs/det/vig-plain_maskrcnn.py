"""Mask R-CNN, plain ViG tiny (ViG-T) with a simple feature pyramid, COCO 2017, 1x.

Command:  tools/dist_train.sh configs/det/vig-plain_maskrcnn.py 8      (one GPU: --auto-scale-lr)
Cost:     not yet measured.
Expected: not yet measured, and no published value exists; Vision-RWKV-T, a plain backbone of that
          size with the larger ViT-Adapter, publishes 41.7 box AP, 38.0 mask AP.
Needs:    COCO under data/coco/, and the official ImageNet weights (fetched on first use).
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig-plain.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_1x_layer-decay.py',
    'mmdet::_base_/default_runtime.py',
]
