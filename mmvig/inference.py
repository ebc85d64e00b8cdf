"""The former place of `mmvig.apis.inference`, for one more version."""

import warnings

from mmvig.apis.inference import Predictor

__all__ = ['Predictor']

warnings.warn(
    'mmvig.inference is now mmvig.apis.inference, and goes with version 0.2',
    FutureWarning,
    stacklevel=2,
)
