"""Mask R-CNN with light heads, LinGlo nano, nuclei in microscopy, from random weights.

Command:  python -m mmvig train configs/real/peers/nuclei_maskrcnn_linglo.py
Expected: not yet measured at this length; 0.207 box AP and 0.243 mask AP after 486 steps, one seed
          (python -m benchmarks.real_images).
Needs:    what nuclei_maskrcnn.py needs, of which this differs in the backbone.
"""

_base_ = ['../nuclei_maskrcnn.py', '../../_base_/peers/linglo_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=_base_.peer_channels),
)
