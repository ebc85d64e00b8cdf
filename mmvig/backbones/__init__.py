"""The backbones; importing this package registers them."""

from .multi_scale_vig import MultiScaleViG

__all__ = ['MultiScaleViG']
