"""Whether images have as many channels as the backbone reads, told by the file."""

from collections.abc import Collection

from mmengine.dataset import Compose

from .pipeline import CheckedPipeline, SampleError


class CheckedChannelPipeline(CheckedPipeline):
    """A `CheckedPipeline` that counts the channels of what it returns.

    Args:
        pipeline: of a data set.
        channels: numbers of channels that the model takes; None if any is right.
        **kwargs: of `CheckedPipeline`.
    """

    def __init__(self, pipeline: Compose, channels: Collection[int] | None, **kwargs) -> None:
        super().__init__(pipeline, **kwargs)
        self.channels = channels

    def __call__(self, data: dict) -> dict | None:
        """See `CheckedPipeline`.

        Raises:
            SampleError: the image has another number of channels.
        """
        path = data.get('img_path')
        data = super().__call__(data)
        inputs = (data or {}).get('inputs')
        if isinstance(inputs, list) and inputs:  # views of test-time augmentation
            inputs = inputs[0]
        shape = getattr(inputs, 'shape', ())
        if self.channels and len(shape) == 3 and shape[0] not in self.channels:
            expected = ' or '.join(map(str, sorted(self.channels)))
            raise SampleError(
                f'expected a number of channels of {expected} after the pipeline, as in_channels '
                f"of model.backbone says, {path} has {shape[0]}: color_type='grayscale' (1), "
                "'color' (3) or 'unchanged' of LoadImageFromFile, or another in_channels"
            )
        return data
