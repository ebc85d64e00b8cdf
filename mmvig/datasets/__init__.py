"""Data sets that ship with mmvig; each needs only the MM library that it is for."""

from importlib.util import find_spec

if find_spec('mmdet'):
    from . import mini_det  # noqa: F401
if find_spec('mmseg'):
    from . import far_ends_seg, mini_seg  # noqa: F401
if find_spec('mmpretrain'):
    from . import mini_cls  # noqa: F401
