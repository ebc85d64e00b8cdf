# Image classifier on multi-scale ViG: norm, global average, linear layer, as in the official code.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvig.MultiScaleViG', arch='tiny', drop_path_rate=0.2, out_indices=(3,), init_cfg=None
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
