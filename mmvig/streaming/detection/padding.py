"""The zeros that mmdet's data preprocessor adds at the right and lower border of an image."""

import numpy as np
from torch import nn

from mmvig.streaming.image import Normalization
from mmvig.streaming.rows import Rows


class PaddedRows:
    """An image up to a size; what is added is `pad_value` once it is normalised.

    Args:
        image: the image.
        size_YX: height and width, at least those of the image.
        normalization: of the image.
        pad_value: after normalization.
    """

    def __init__(
        self,
        image: Rows,
        size_YX: tuple[int, int],
        normalization: Normalization,
        pad_value: float = 0.0,
    ) -> None:
        self.image = image
        self.shape = (*size_YX, image.shape[2])
        self._pad_C = _before_normalization(normalization, pad_value, image.shape[2])

    def read(self, top: int, bottom: int) -> np.ndarray:
        height, width, channels = self.image.shape
        out = np.empty((bottom - top, self.shape[1], channels), np.float32)
        out[:] = self._pad_C
        last = min(bottom, height)
        if top < last:
            out[: last - top, :width] = self.image.read(top, last)
        return out


def padded(image: Rows, preprocessor: nn.Module, normalization: Normalization) -> Rows:
    """The image as the preprocessor gives it to a model, a single one in its batch."""
    divisor = preprocessor.pad_size_divisor
    size_YX = tuple(-(-n // divisor) * divisor for n in image.shape[:2])
    if size_YX == tuple(image.shape[:2]):
        return image
    return PaddedRows(image, size_YX, normalization, preprocessor.pad_value)


def _before_normalization(
    normalization: Normalization, pad_value: float, channels: int
) -> np.ndarray:
    """The value of each channel that becomes `pad_value`; zero is met exactly."""
    value = np.full(channels, pad_value, np.float32)
    if normalization.mean is not None:
        mean, std = (x.cpu().float().numpy() for x in (normalization.mean, normalization.std))
        value = mean + value * std
    return value[::-1] if normalization.reverse and channels == 3 else value
