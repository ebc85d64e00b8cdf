"""RetinaNet with a light head, multi-scale ViG nano, blood cells (BCCD), from random weights.

Command:  python -m mmvig train bccd_retinanet
Cost:     2,060 steps of 2 crops of 320×320: about 12 minutes of one CPU core (AMD EPYC, Zen 4;
          from 501 steps).
Expected: not yet measured at this length (python -m benchmarks.real_images); 0.152 box AP on every
          second validation image after 501 steps.
Needs:    BCCD in COCO form as data/bccd, see docs/own-data.md; another folder than data/ is named
          by the environment variable MMVIG_REAL_DATA.
"""

_base_ = '../det/vig-n_retinanet_small-data.py'
from mmvig.apis.own_data import use_data  # noqa: E402 (below _base_, as mmengine asks)

use_data(
    _base_,
    data_root='{{$MMVIG_REAL_DATA:data}}/bccd/',
    classes=('RBC', 'WBC', 'Platelets'),
    train=dict(ann_file='annotations/instances_train.json', data_prefix=dict(img='images/')),
    val=dict(ann_file='annotations/instances_val.json', data_prefix=dict(img='images/')),
    epochs=20,
)
