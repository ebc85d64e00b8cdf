"""Weights: official names and ours, and reading them without running code from a file."""

from .input_channels import fit_input_channels
from .loading import (
    backbone_weights,
    check_fit,
    check_shapes,
    load_pretrained,
    read,
    shapes_of,
    weights_of,
)
from .official_keys import from_official, is_official, to_official

__all__ = [
    'backbone_weights',
    'check_fit',
    'check_shapes',
    'fit_input_channels',
    'from_official',
    'is_official',
    'load_pretrained',
    'read',
    'shapes_of',
    'to_official',
    'weights_of',
]
