"""ViG, a linear-cost vision backbone, for OpenMMLab detection and segmentation.

`type='mmvig.…'` in any config finds the models through `mmvig.registry`, so importing the package
imports neither torch nor an MM library.
"""

from .configs import get_config

__all__ = ['get_config']
__version__ = '0.1.0'
