"""RetinaNet with a light head, a small Swin, blood cells (BCCD), from random weights.

Command:  python -m mmvig train configs/real/peers/bccd_retinanet_swin.py
Expected: not yet measured at this length; 0.009 box AP after 450 steps, mean of
          three seeds (python -m benchmarks.real_images).
Needs:    what bccd_retinanet.py needs, of which this differs in the backbone.
"""

_base_ = ['../bccd_retinanet.py', '../../_base_/peers/swin_nano.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.peer, out_indices=(1, 2, 3)),
    neck=dict(in_channels=_base_.peer_channels[1:]),
)
