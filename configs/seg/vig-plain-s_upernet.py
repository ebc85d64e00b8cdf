"""UperNet, plain ViG small (ViG-S) with a feature pyramid, ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig-plain-s_upernet.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig-plain_upernet.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_s_81p7acc.pth'
        ),
    ),
    neck=dict(in_channels=[384] * 4),
)
