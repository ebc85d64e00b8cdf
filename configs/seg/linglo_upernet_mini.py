"""UperNet with light heads, LinGlo nano, the mini data set, from random weights.

Command:  python tools/train.py configs/seg/linglo_upernet_mini.py
Cost and result: not yet measured.
"""

_base_ = './vig_upernet_mini.py'

model = dict(
    backbone=dict(_delete_=True, type='mmvig.LinGlo', arch='nano'),
)
