"""Mask R-CNN with light heads, a small Swin, nuclei in microscopy, from random weights.

Command:  python -m mmvig train configs/real/peers/nuclei_maskrcnn_swin.py
Expected: not yet measured at this length; 0.117 box AP and 0.153 mask AP after 486 steps, mean of
          three seeds (python -m benchmarks.real_images).
Needs:    what nuclei_maskrcnn.py needs, of which this differs in the backbone.
"""

_base_ = ['../nuclei_maskrcnn.py', '../../_base_/peers/swin_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=_base_.peer_channels),
)
