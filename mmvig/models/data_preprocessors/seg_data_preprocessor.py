"""mmseg's preprocessing, for batches of images of different sizes in inference."""

from mmseg.models import SegDataPreProcessor as HostSegDataPreProcessor
from mmseg.utils import stack_batch

from mmvig.registry import MODELS


@MODELS.register_module()
class SegDataPreProcessor(HostSegDataPreProcessor):
    """As `mmseg.SegDataPreProcessor`, which refuses batches of different sizes in inference.

    Here the smaller images are padded at the right and at the bottom with `pad_val`, after
    normalisation, to the largest height and width; the model cuts the padding off its prediction.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """See `mmseg.SegDataPreProcessor.forward`."""
        images = data['inputs']
        if training or len({tuple(image.shape[-2:]) for image in images}) == 1:
            return super().forward(data, training)
        samples = data.get('data_samples') or [None] * len(images)
        single = [
            super(SegDataPreProcessor, self).forward({'inputs': [image], 'data_samples': [sample]})
            for image, sample in zip(images, samples, strict=True)
        ]
        inputs, paddings = stack_batch([one['inputs'][0] for one in single], size_divisor=1)
        cast = [one['data_samples'][0] for one in single]
        for sample, padding in zip(cast, paddings, strict=True):
            if sample is not None:
                sample.set_metainfo(padding)
        return {'inputs': inputs, 'data_samples': cast if data.get('data_samples') else None}
