"""The backbones; importing this package registers them."""

from .linglo import LinGlo
from .multi_scale_vig import MultiScaleViG
from .plain_vig import PlainViG
from .vir import ViR

__all__ = ['LinGlo', 'MultiScaleViG', 'PlainViG', 'ViR']
