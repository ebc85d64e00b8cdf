"""Mask R-CNN with light heads, plain ViG nano, the mini data set, from random weights.

Command:  python tools/train.py configs/det/vig-plain_maskrcnn_mini.py
Cost:     333 CPU seconds with evaluation, measured on one thread of an AMD EPYC.
Result:   box AP 0.627, mask AP 0.610, measured (python -m benchmarks.mini_set).
"""

_base_ = './vig_maskrcnn_mini.py'

model = dict(
    backbone=dict(_delete_=True, type='mmvig.PlainViG', arch='nano'),
    neck=dict(
        _delete_=True,
        type='mmvig.SimpleFeaturePyramid',
        in_channels=[128],
        out_channels=64,
        num_outs=5,
    ),
)
