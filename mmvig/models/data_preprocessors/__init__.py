"""Pieces of a model that only one host library has a place for; each needs only that library."""

from importlib.util import find_spec

if find_spec('mmseg'):
    from . import seg_data_preprocessor  # noqa: F401
