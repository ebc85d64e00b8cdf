"""UperNet, multi-scale ViG tiny (ViG-H-T), ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig_upernet.py 8      (one GPU: --auto-scale-lr)
Cost:     not yet measured.
Expected: not yet measured, and no published value exists; VMamba-T with this recipe publishes
          47.9 mIoU (single scale).
Needs:    ADE20K under data/ade/ADEChallengeData2016/, and the official ImageNet weights (fetched
          on first use).
"""

_base_ = [
    '../_base_/models/upernet_vig.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/seg_runtime.py',
]
