"""UperNet, plain ViG tiny (ViG-T) with a feature pyramid, ADE20K, 160k iterations, 512×512.

Command:  tools/dist_train.sh configs/seg/vig-plain_upernet.py 8      (one GPU: --auto-scale-lr)
Cost:     not yet measured.
Expected: not yet measured, and no published value exists; Vision-RWKV-T, a plain backbone of that
          size with the larger ViT-Adapter, publishes 43.3 mIoU (single scale).
Needs:    ADE20K under data/ade/ADEChallengeData2016/, and the official ImageNet weights (fetched
          on first use).
"""

_base_ = [
    '../_base_/models/upernet_vig-plain.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_160k_layer-decay.py',
    '../_base_/seg_runtime.py',
]
