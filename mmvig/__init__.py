"""ViG, a linear-cost vision backbone, for OpenMMLab detection and segmentation.

Nothing is imported here: `type='mmvig.…'` in any config finds the models through `mmvig.registry`.
"""

__version__ = '0.1.0'
