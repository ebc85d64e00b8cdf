"""Classification, plain ViG base (ViG-B), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig-plain-b_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 82.6 top-1 for this recipe.
"""

_base_ = './vig-plain_imagenet.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=768))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
