"""Weights for images of three channels, fitted to another number."""

from collections.abc import Mapping

import torch
from torch import Tensor

RGB = 3


def fit_input_channels(
    weights: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], prefix: str = ''
) -> tuple[dict[str, Tensor], str]:
    """Fit the stem's first convolution of weights for three channels to a model of another number.

    For one channel its weights are summed over the three, so that a grey image gets what it would
    get as three equal channels. For any other number they are repeated in order, the fourth channel
    like the first, and scaled by 3 over the number, as timm does (`adapt_input_conv`).

    Args:
        weights: a state dict in the model's names.
        shapes: of the model's state dict.
        prefix: of the backbone's names in both.

    Returns:
        tuple[dict[str, Tensor], str]: the weights, and what was done to them, '' if nothing was.
    """
    fitted, note = dict(weights), ''
    for key, weight_OIYX in weights.items():
        shape = shapes.get(key)
        if (
            key.startswith(f'{prefix}stem.')
            and shape is not None
            and len(shape) == weight_OIYX.dim() == 4
            and weight_OIYX.shape[1] == RGB != shape[1]
            and weight_OIYX.shape == (shape[0], RGB, *shape[2:])
        ):
            fitted[key] = _to_channels(weight_OIYX, shape[1])
            how = 'summed' if shape[1] == 1 else f'repeated and scaled by {RGB}/{shape[1]}'
            note = f'{key} for {RGB} input channels is {how} for {shape[1]}'
    return fitted, note


def _to_channels(weight_OIYX: Tensor, channels: int) -> Tensor:
    if channels == 1:
        return weight_OIYX.sum(1, keepdim=True)
    repeated = weight_OIYX.repeat(1, -(-channels // RGB), 1, 1)[:, :channels]
    return repeated * (RGB / channels)
