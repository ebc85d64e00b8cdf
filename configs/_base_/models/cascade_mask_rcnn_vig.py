# Cascade Mask R-CNN with FPN as mmdet sets it up, on multi-scale ViG tiny.
_base_ = ['mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.MultiScaleViG',
        arch='tiny',
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/hustvl/ViG/resolve/main/vig_h_t_82p8acc.pth',
        ),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
