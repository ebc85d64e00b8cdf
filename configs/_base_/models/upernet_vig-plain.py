# UperNet on plain ViG tiny: the maps of four depths become those of four strides.
_base_ = './upernet_vig.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.PlainViG',
        arch='tiny',
        out_indices=(2, 5, 8, 11),
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_t_77p2acc.pth',
        ),
    ),
    neck=dict(
        type='mmvig.SimpleFeaturePyramid', in_channels=[192] * 4, out_channels=256, num_outs=4
    ),
    decode_head=dict(in_channels=[256] * 4),
    auxiliary_head=dict(in_channels=256),
)
