"""Mask R-CNN with light heads, LinGlo nano, the mini data set, from random weights.

Command:  python tools/train.py configs/det/linglo_maskrcnn_mini.py
Cost and result, measured on two CPU cores: see README.md and benchmarks/backbones_mini.csv.
"""

_base_ = './vig_maskrcnn_mini.py'

model = dict(
    backbone=dict(_delete_=True, type='mmvig.LinGlo', arch='nano'),
)
