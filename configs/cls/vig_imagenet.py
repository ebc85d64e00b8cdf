"""Classification, multi-scale ViG tiny (ViG-H-T), ImageNet-1k, 300 epochs, for pre-training.

Command:  tools/dist_train.sh configs/cls/vig_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured here; the paper publishes 82.8 top-1 for this recipe.
Needs:    ImageNet under data/imagenet/ with the folders train/ and val/.
"""

_base_ = [
    '../_base_/models/classifier_vig.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    '../_base_/schedules/adamw_300e.py',
    'mmpretrain::_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
