"""UperNet, multi-scale ViG base (ViG-H-B), ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig-b_upernet.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
"""

_base_ = './vig_upernet.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_b_84p2acc.pth'
        ),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
