"""UperNet, plain ViG base (ViG-B) with a feature pyramid, ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig-plain-b_upernet.py 8
Cost and expected result: not yet measured, no published value exists.
"""

_base_ = './vig-plain_upernet.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_b_82p6acc.pth'
        ),
    ),
    neck=dict(in_channels=[768] * 4),
)

optim_wrapper = dict(optimizer=dict(lr=6e-5), paramwise_cfg=dict(layer_decay_rate=0.8))
