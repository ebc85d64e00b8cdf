"""Segmentors of mmseg as one traceable module."""

from mmengine.config import Config
from torch import Tensor, nn

from mmvig.checks.errors import UserError

from .exportable import Exportable
from .interface import image_input, make_manifest

OUTPUTS = ('logits', 'labels')


class Segmentor(nn.Module):
    """An image to logits [B, classes, Y, X], or labels [B, Y, X], at its own size."""

    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__()
        self.model = model
        self.output = output

    def forward(self, image_BCYX: Tensor) -> tuple[Tensor]:
        size = image_BCYX.shape[2:]
        logits = self.model.encode_decode(image_BCYX, [dict(img_shape=size, pad_shape=size)])
        return (logits if self.output == 'logits' else logits.argmax(dim=1),)


def segmentor(model: nn.Module, cfg: Config, output: str = 'logits') -> Exportable:
    """A segmentor from image to logits or labels; sliding windows are the runtime's part.

    Args:
        model: as the inferencer of mmseg leaves it, with `dataset_meta`.
        cfg: its config.
        output: one of `OUTPUTS`.

    Raises:
        UserError: the model, or its test pipeline, is of a kind that this does not export.
    """
    from mmseg.models import EncoderDecoder

    if type(model) is not EncoderDecoder:
        raise UserError(f'expected an EncoderDecoder for an export, got {type(model).__name__}')
    if model.out_channels != model.num_classes:
        raise UserError(
            f'expected decode_head.out_channels={model.num_classes}, one for each class, got '
            f'{model.out_channels}'
        )
    window = None
    if model.test_cfg.get('mode', 'whole') == 'slide':
        if output == 'labels':
            raise UserError(
                'expected --output logits for a model that is tested in sliding windows, whose '
                'logits are averaged; got labels'
            )
        window = {
            'crop': list(model.test_cfg.crop_size),
            'stride': list(model.test_cfg.stride),
        }
    return Exportable(
        module=Segmentor(model, output).eval(),
        outputs=(output,),
        **image_input(model),
        manifest=make_manifest(
            'segmentation',
            model,
            cfg,
            meta=model.dataset_meta,
            classes=model.num_classes,
            sliding_window=window,
            align_corners=model.align_corners,
        ),
    )
