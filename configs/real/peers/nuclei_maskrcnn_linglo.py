"""Mask R-CNN with light heads, LinGlo nano, nuclei in microscopy, from random weights.

Command:  python -m mmvig train configs/real/peers/nuclei_maskrcnn_linglo.py
Expected: not yet measured (python -m benchmarks.real_images).
Needs:    what nuclei_maskrcnn.py needs, of which this differs in the backbone.
"""

_base_ = ['../nuclei_maskrcnn.py', '../../_base_/peers/linglo_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=_base_.peer_channels),
)
