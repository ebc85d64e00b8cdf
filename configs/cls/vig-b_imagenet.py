"""Classification, multi-scale ViG base (ViG-H-B), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig-b_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 84.2 top-1 for this recipe.
"""

_base_ = './vig_imagenet.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.6), head=dict(in_channels=1024))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
