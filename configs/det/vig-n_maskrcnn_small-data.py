"""Mask R-CNN with light heads, multi-scale ViG nano, a small set of one's own, from random weights.

Command:  python -m mmvig new-config det FOLDER, which writes a config that inherits this one
Cost:     2,136 steps of 2 crops of 320×320 (8 epochs of 534 images): 20 minutes of one CPU core
          (AMD EPYC, Zen 4; measured over the first 881 steps), and two validations.
Expected: 0.405 box AP and 0.430 mask AP on nuclei (configs/real), measured once; 0.355 and 0.382
          before images were enlarged and steps smaller, at equal time (benchmarks/NOTES.md).
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
