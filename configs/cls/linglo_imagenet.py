"""Classification, LinGlo tiny (our reading of the paper's abstract), ImageNet-1k, 300 epochs.

Command:  tools/dist_train.sh configs/cls/linglo_imagenet.py 8 --amp
Cost:     not yet measured.
Expected: not yet measured; no number of the paper is claimed. The recipe is ViG's.
Needs:    ImageNet under data/imagenet/ with the folders train/ and val/.
"""

_base_ = './vig_imagenet.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mmvig.LinGlo', arch='tiny', drop_path_rate=0.1, out_indices=(3,)
    ),
    head=dict(in_channels=512),
)
