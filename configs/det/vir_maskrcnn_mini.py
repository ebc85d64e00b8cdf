"""Mask R-CNN with light heads, ViR nano, the mini data set, from random weights.

Command:  python tools/train.py configs/det/vir_maskrcnn_mini.py
Cost:     325 CPU seconds with evaluation, measured on one thread of an AMD EPYC.
Result:   box AP 0.465, mask AP 0.468, measured (python -m benchmarks.mini_set).
"""

_base_ = './vig_maskrcnn_mini.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='nano',
        mode='bidirectional',
        layer_scale_init_value=1.0,
    ),
    neck=dict(
        _delete_=True,
        type='mmvig.SimpleFeaturePyramid',
        in_channels=[128],
        out_channels=64,
        num_outs=5,
    ),
)
