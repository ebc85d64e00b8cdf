"""Mask R-CNN with light heads, multi-scale ViG nano, nuclei in microscopy, from random weights.

Command:  python -m mmvig train nuclei_maskrcnn
Cost:     2,136 steps of 2 crops of 320×320, 20 minutes of one CPU core (AMD EPYC, Zen 4), and two
          validations on 130 images with up to 300 objects.
Expected: 0.405 box AP and 0.430 mask AP, measured once.
Needs:    Data Science Bowl 2018 in COCO form as data/nuclei, see docs/own-data.md; another folder
          than data/ is named by the environment variable MMVIG_REAL_DATA.
"""

_base_ = '../det/vig-n_maskrcnn_small-data.py'
from mmvig.apis.own_data import use_data  # noqa: E402 (below _base_, as mmengine asks)

use_data(
    _base_,
    data_root='{{$MMVIG_REAL_DATA:data}}/nuclei/',
    classes=('nucleus',),
    train=dict(ann_file='annotations/instances_train.json', data_prefix=dict(img='images/')),
    val=dict(ann_file='annotations/instances_val.json', data_prefix=dict(img='images/')),
    scale_factor=1.5,
)
# anchors of 16 to 256 pixels
# up to 300 detections in an image, where COCO's AP counts 100
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=1000), rcnn=dict(max_per_img=300)),
)
