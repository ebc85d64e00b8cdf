"""UperNet, LinGlo tiny (our reading of the paper's abstract), ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/linglo_upernet.py 8
Cost:     not yet measured.
Expected: not yet measured; no number of the paper is claimed.
Needs:    ADE20K under data/ade/ADEChallengeData2016/, and ImageNet weights of your own
          (configs/cls/linglo_imagenet.py), for none are published.
"""

_base_ = './vig_upernet.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.LinGlo',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/linglo_imagenet/epoch_300.pth'),
    ),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
