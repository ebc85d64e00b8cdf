"""UperNet, multi-scale ViG small (ViG-H-S), ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig-s_upernet.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value exists.
"""

_base_ = './vig_upernet.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_s_83p8acc.pth'
        ),
    )
)
