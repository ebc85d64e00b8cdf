"""UperNet with light heads, ViR nano, the mini data set, from random weights.

Command:  python tools/train.py configs/seg/vir_upernet_mini.py
Cost and result: not yet measured.
"""

_base_ = './vig_upernet_mini.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='nano',
        mode='bidirectional',
        layer_scale_init_value=1.0,
        out_indices=(1, 3, 4, 5),
    ),
    neck=dict(
        type='mmvig.SimpleFeaturePyramid', in_channels=[128] * 4, out_channels=64, num_outs=4
    ),
    decode_head=dict(in_channels=[64] * 4),
    auxiliary_head=dict(in_channels=64),
)
