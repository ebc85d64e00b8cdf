"""Data sets that ship with the project; each needs only its own host library."""

from importlib.util import find_spec

if find_spec('mmdet'):
    from . import mini_det  # noqa: F401
if find_spec('mmseg'):
    from . import mini_seg  # noqa: F401
if find_spec('mmpretrain'):
    from . import mini_cls  # noqa: F401
