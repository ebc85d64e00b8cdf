"""The effective receptive field: how strongly each pixel influences one output."""

import torch
from torch import Tensor


def receptive_field(output_YXC: Tensor, image_BCYX: Tensor) -> Tensor:
    """Effective receptive field of the center of a map, [Y, X] of the image, largest value 1.

    Luo et al., arXiv 1701.04128, section 3: with y the output at row ⌊Y/2⌋, column ⌊X/2⌋,

        r_ij = Σ_c | ∂ (Σ_k y_k) / ∂ image_cij |,   divided by its maximum

    Pass the output of a residual block rather than its LayerNorm: the channels of a freshly
    initialized LayerNorm add up to a constant, whose gradient is 0.

    Args:
        output_YXC: a map of the first image of the batch; its graph is retained.
        image_BCYX: the leaf from which the map was computed, with `requires_grad`.
    """
    center = output_YXC[output_YXC.shape[0] // 2, output_YXC.shape[1] // 2].sum()
    (gradient_BCYX,) = torch.autograd.grad(center, image_BCYX, retain_graph=True)
    field_YX = gradient_BCYX[0].abs().sum(0)
    return field_YX / field_YX.max().clamp(min=torch.finfo(field_YX.dtype).tiny)


def share_holding(field_YX: Tensor, part: float) -> float:
    """The smallest share of the pixels that together hold `part` of the field's sum.

    Half of an even field lies in half of the pixels; the closer to 0, the more local the field.
    """
    ranked = field_YX.flatten().sort(descending=True).values.double()
    held = ranked.cumsum(0)
    # The last partial sum may fall short of the total by a rounding error.
    count = int((held < part * held[-1] * (1 - 1e-12)).sum()) + 1
    return count / ranked.numel()
