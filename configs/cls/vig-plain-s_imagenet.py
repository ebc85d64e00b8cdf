"""Classification, plain ViG small (ViG-S), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig-plain-s_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 81.7 top-1 for this recipe.
"""

_base_ = './vig-plain_imagenet.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.2), head=dict(in_channels=384))
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.1))
