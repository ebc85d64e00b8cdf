"""Classification, multi-scale ViG small (ViG-H-S), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig-s_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 83.8 top-1 for this recipe.
"""

_base_ = './vig_imagenet.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
