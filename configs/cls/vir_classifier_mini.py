"""Classification, ViR nano, class token, crops of the mini data set, from random weights.

Command:  python tools/train.py configs/cls/vir_classifier_mini.py
Cost and result: not yet measured.
"""

_base_ = './vig_classifier_mini.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='nano',
        mode='autoregressive',
        out_type='cls_token',
        layer_scale_init_value=1.0,
    ),
    neck=None,
    head=dict(in_channels=128),
)
