"""RetinaNet with a light head, ViR, blood cells (BCCD), from random weights.

Command:  python -m mmvig train configs/real/peers/bccd_retinanet_vir.py
Expected: not yet measured at this length; 0.003 box AP after 450 steps, one seed
          (python -m benchmarks.real_images).
Needs:    what bccd_retinanet.py needs, of which this differs in the backbone and the neck.
"""

_base_ = ['../bccd_retinanet.py', '../../_base_/peers/vir_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer),
    neck=dict(_delete_=True, **_base_.peer_neck, start_level=1, num_outs=5),
)
