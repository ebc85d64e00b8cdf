"""Mask R-CNN with light heads, LinGlo nano, the mini data set, from random weights.

Command:  python tools/train.py configs/det/linglo_maskrcnn_mini.py
Cost:     335 CPU seconds with evaluation, measured on one thread of an AMD EPYC.
Result:   box AP 0.655, mask AP 0.721, measured (python -m benchmarks.mini_set).
"""

_base_ = './vig_maskrcnn_mini.py'

model = dict(
    backbone=dict(_delete_=True, type='mmvig.LinGlo', arch='nano'),
)
