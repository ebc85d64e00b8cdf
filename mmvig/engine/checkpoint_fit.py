"""Whether a checkpoint's weights fit the model that is to be tested, resumed or fine-tuned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmvig import checkpoint as checkpoints
from mmvig.models.backbones.base import Backbone


def check_whole(
    model: nn.Module, shapes: Mapping[str, torch.Size], checkpoint: dict, source: str
) -> None:
    """Let all weights of a checkpoint fit a model whose weights have these shapes.

    Raises:
        UserError: some are missing, unknown, or of another shape.
    """
    checkpoints.check_shapes(shapes, _weights(checkpoint), source, type(model).__name__)


def fit_backbone(
    model: nn.Module, shapes: Mapping[str, torch.Size], checkpoint: dict, source: str
) -> str:
    """Let the weights of the backbone fit, where it is one of mmvig's; others are left to mmengine.

    Those of the first layer are changed in the checkpoint where images have other channels.

    Returns:
        What was changed; '' for nothing.

    Raises:
        UserError: some are missing, unknown, or of another shape.
    """
    if not isinstance(getattr(model, 'backbone', None), Backbone):
        return ''
    weights, fitted = checkpoints.fit_input_channels(_weights(checkpoint), shapes, 'backbone.')
    if fitted:
        checkpoint['state_dict'] = weights
    name = type(model.backbone).__name__
    checkpoints.check_shapes(_of_backbone(shapes), _of_backbone(weights), source, name)
    return fitted


def _weights(checkpoint: dict) -> dict[str, Tensor]:
    """By their names in a model without wrappers."""
    return {
        key.removeprefix('module.'): value
        for key, value in checkpoints.weights_of(checkpoint).items()
    }


def _of_backbone(by_key: Mapping[str, Tensor | torch.Size]) -> dict[str, Tensor | torch.Size]:
    prefix = 'backbone.'
    return {
        key.removeprefix(prefix): value for key, value in by_key.items() if key.startswith(prefix)
    }
