"""The former place of `mmvig.models.backbones`, for one more version."""

import warnings

from mmvig.models.backbones import *  # noqa: F403

warnings.warn(
    'mmvig.backbones is now mmvig.models.backbones, and goes with version 0.2',
    FutureWarning,
    stacklevel=2,
)
