"""Classification, ViR small, class token, ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vir_imagenet.py 8 --amp
          For detection and segmentation add --cfg-options model.backbone.mode=bidirectional.
Cost:     not yet measured.
Expected: not yet measured, and no published value is known to us. The recipe is ViG's, with the
          drop path of ViR's authors.
Needs:    ImageNet under data/imagenet/ with the folders train/ and val/.
"""

_base_ = './vig_imagenet.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmvig.ViR',
        arch='small',
        mode='autoregressive',
        out_type='cls_token',
        drop_path_rate=0.2,
    ),
    neck=None,
    head=dict(in_channels=384),
)
