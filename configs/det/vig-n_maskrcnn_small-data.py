"""Mask R-CNN with light heads, multi-scale ViG nano, a small set of one's own, from random weights.

Command:  python -m mmvig new-config det FOLDER, which writes a config that inherits this one
Cost:     2,136 steps of 2 crops of 320×320 (8 epochs of 534 images): about 20 minutes of one CPU
          core (AMD EPYC, Zen 4; from 254 steps), and two validations.
Expected: not yet measured at this length. On a third of the validation images of nuclei
          (configs/real), 0.093 box AP and 0.130 mask AP after 150 seconds, where batch 4, half the
          learning rate and images of their own size reach 0.021 and 0.030 (benchmarks/NOTES.md),
          and 0.355 and 0.382 on all images after 23 minutes.
Needs:    boxes and masks in COCO form; see docs/own-data.md. For a checkpoint to start from, write
          load_from.
"""

_base_ = [
    '../_base_/models/mask_rcnn_vig-light.py',
    '../_base_/datasets/small_coco.py',
    '../_base_/schedules/adamw_small-data.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
)

default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1, save_best='coco/segm_mAP')
)
randomness = dict(seed=0)
