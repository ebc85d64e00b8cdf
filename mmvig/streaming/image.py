"""The image as the first map of a model: normalised as the model's data preprocessor does."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .errors import StreamingError
from .maps import Map
from .rows import Rows

CHANNEL_ORDERS = ('rgb', 'bgr')


@dataclass(frozen=True)
class Normalization:
    """(x - mean) / std per channel, after the order of three channels is reversed.

    Attributes:
        mean, std: one number per channel [C], or one for all; None to leave the values.
        reverse: whether the first and the last of three channels change places.
    """

    mean: Tensor | None = None
    std: Tensor | None = None
    reverse: bool = False

    @classmethod
    def of(cls, preprocessor: nn.Module, channel_order: str = 'rgb') -> 'Normalization':
        """What an MM library's data preprocessor does to one image.

        Args:
            preprocessor: takes three channels as mmcv reads them, in the order BGR.
            channel_order: 'rgb' or 'bgr', that of the image's three channels; other numbers of
                channels stay as they are.

        Raises:
            StreamingError: the preprocessor pads images in inference.
            ValueError: the order is unknown.
        """
        if channel_order not in CHANNEL_ORDERS:
            raise ValueError(
                f'expected channel_order to be one of {", ".join(CHANNEL_ORDERS)}; got '
                f'{channel_order!r}'
            )
        if getattr(preprocessor, 'test_cfg', None):
            raise StreamingError(
                f'expected a data preprocessor that pads nothing in inference, got '
                f'test_cfg={preprocessor.test_cfg}'
            )
        # mmseg's name, and that of mmengine, mmdet and mmpretrain
        names = ('channel_conversion', '_channel_conversion')
        reverse = any(getattr(preprocessor, name, False) for name in names)
        if not getattr(preprocessor, '_enable_normalize', False):
            return cls(reverse=reverse != (channel_order == 'rgb'))
        mean, std = (getattr(preprocessor, name).flatten() for name in ('mean', 'std'))
        return cls(mean, std, reverse != (channel_order == 'rgb'))

    def __call__(self, x_BYXC: Tensor) -> Tensor:
        if self.reverse and x_BYXC.shape[-1] == 3:
            x_BYXC = x_BYXC.flip(-1)
        if self.mean is None:
            return x_BYXC
        return (x_BYXC - self.mean.to(x_BYXC.device)) / self.std.to(x_BYXC.device)


class Image(Map):
    """An image, normalised; zeros are added at its right and lower border up to `size`.

    Raises:
        StreamingError: the image has other channels than the model takes.
    """

    COPIES = 3

    def __init__(
        self,
        image: Rows,
        normalization: Normalization,
        channels: int,
        like: Tensor,
        size: tuple[int, int] | None = None,
    ) -> None:
        if len(image.shape) != 3 or min(image.shape) < 1 or image.shape[2] != channels:
            raise StreamingError(
                f'expected an image of shape [height, width, {channels}], got {list(image.shape)}'
            )
        super().__init__((*(size or image.shape[:2]), channels), like.dtype)
        self.image, self.normalization, self.device = image, normalization, like.device

    def rows(self, top: int, bottom: int) -> Tensor:
        height, width, channels = self.image.shape
        out = torch.zeros((1, bottom - top, *self.shape[1:]), dtype=self.dtype, device=self.device)
        last = min(bottom, height)
        if top < last:
            array = np.asarray(self.image.read(top, last))
            if array.shape != (last - top, width, channels):
                raise StreamingError(
                    f'expected rows of shape {[last - top, width, channels]} of the image, got '
                    f'{list(array.shape)}'
                )
            x_YXC = torch.from_numpy(array.astype(np.float32)).to(self.device)
            out[0, : last - top, :width] = self.normalization(x_YXC).to(self.dtype)
        return out
