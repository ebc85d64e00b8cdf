"""Mask R-CNN with light heads, ViR, nuclei in microscopy, from random weights.

Command:  python -m mmvig train configs/real/peers/nuclei_maskrcnn_vir.py
Expected: not yet measured at this length; 0.032 box AP and 0.052 mask AP after 486 steps, one seed
          (python -m benchmarks.real_images).
Needs:    what nuclei_maskrcnn.py needs, of which this differs in the backbone and the neck.
"""

_base_ = ['../nuclei_maskrcnn.py', '../../_base_/peers/vir_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer),
    neck=dict(_delete_=True, **_base_.peer_neck, num_outs=5),
)
