"""UperNet, ViR small, bidirectional, with a feature pyramid, ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vir_upernet.py 8
Cost:     not yet measured.
Expected: not yet measured, and no published value is known to us.
Needs:    ADE20K under data/ade/ADEChallengeData2016/, and ImageNet weights of your own
          (configs/cls/vir_imagenet.py with mode='bidirectional'), for none are published.
"""

_base_ = './vig-plain_upernet.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='small',
        mode='bidirectional',
        out_indices=(2, 5, 8, 11),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/vir_imagenet/epoch_300.pth'),
    ),
    neck=dict(in_channels=[384] * 4),
)
