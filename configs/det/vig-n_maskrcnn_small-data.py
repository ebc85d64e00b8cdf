"""Mask R-CNN with light heads, multi-scale ViG nano, a small set of one's own, from random weights.

Command:  python -m mmvig new-config det FOLDER, which writes a config that inherits this one
Cost:     1,072 steps of 4 crops of 320×320 (8 epochs of 534 images), two validations on 130
          images with 300 objects: 23 minutes of one CPU core (AMD EPYC, Zen 4).
Expected: 0.355 box AP and 0.382 mask AP on nuclei (configs/real), measured once.
Needs:    boxes and masks in COCO form; see docs/own-data.md. For a checkpoint to start from, write
          load_from.
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig.py',
    '../_base_/datasets/small_coco.py',
    '../_base_/schedules/adamw_small-data.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=1),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=500), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1, save_best='coco/segm_mAP')
)
randomness = dict(seed=0)
