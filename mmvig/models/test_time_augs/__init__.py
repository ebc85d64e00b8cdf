"""Models that merge the predictions for several views of an image; each needs only its library."""

from importlib.util import find_spec

if find_spec('mmdet'):
    from . import instance_seg_tta  # noqa: F401
