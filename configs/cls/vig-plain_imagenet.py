"""Classification, plain ViG tiny (ViG-T), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig-plain_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 77.2 top-1 for this recipe.
"""

_base_ = './vig_imagenet.py'

model = dict(
    backbone=dict(_delete_=True, type='mmvig.PlainViG', arch='tiny'), head=dict(in_channels=192)
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
