# Mask R-CNN with heads light enough for a CPU, on multi-scale ViG nano from random weights.
_base_ = './mask_rcnn_vig.py'

model = dict(
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    # torchvision's RoIAlign equals mmcv's to the bit on a CPU; forward it takes half the time.
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, roi_layer=dict(use_torchvision=True)),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
        mask_roi_extractor=dict(out_channels=64, roi_layer=dict(use_torchvision=True)),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=500), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
