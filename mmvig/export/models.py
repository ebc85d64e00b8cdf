"""The exportable form of a model of any MM library."""

from mmengine.config import Config
from torch import nn

from mmvig.checks.errors import UserError

from .exportable import Exportable


def make_exportable(model: nn.Module, cfg: Config, output: str | None = None) -> Exportable:
    """A model with its interface, by the library of its config.

    Args:
        model: as the inferencer of its library leaves it, for example `Predictor.model`.
        cfg: its config.
        output: of a segmentor, 'logits' (by default) or 'labels'.

    Raises:
        UserError: it is of a kind that is not exported.
    """
    scope = cfg.get('default_scope')
    if output is not None and scope != 'mmseg':
        raise UserError(
            f'expected --output for a segmentor of mmseg only, the config is of {scope}'
        )
    if scope == 'mmpretrain':
        from .classification import classifier

        return classifier(model, cfg)
    if scope == 'mmseg':
        from .segmentation import segmentor

        return segmentor(model, cfg, output or 'logits')
    if scope == 'mmdet':
        from .detection import detector

        return detector(model, cfg)
    raise UserError(
        f'expected a config with default_scope mmdet, mmseg or mmpretrain, got {scope!r}'
    )
