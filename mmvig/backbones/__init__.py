"""The backbones; importing this package registers them."""

from .multi_scale_vig import MultiScaleViG
from .plain_vig import PlainViG
from .vir import ViR

__all__ = ['MultiScaleViG', 'PlainViG', 'ViR']
