"""The effective receptive field: how much each pixel moves one output."""

import torch
from torch import Tensor


def receptive_field(output_YXC: Tensor, image_BCYX: Tensor) -> Tensor:
    """Effective receptive field of the centre of a map, [Y, X] of the image, largest value 1.

    Luo et al., arXiv 1701.04128, section 3: with y the output at row ⌊Y/2⌋, column ⌊X/2⌋,

        r_ij = Σ_c | ∂ (Σ_k y_k) / ∂ image_cij |,   divided by its maximum

    Pass the sum of a residual block rather than a LayerNorm of it: the channels of a fresh
    LayerNorm add up to a constant, whose gradient says nothing.

    Args:
        output_YXC: a map of the first image of the batch, in a graph that is kept.
        image_BCYX: the leaf that it was computed from, with `requires_grad`.
    """
    centre = output_YXC[output_YXC.shape[0] // 2, output_YXC.shape[1] // 2].sum()
    (gradient_BCYX,) = torch.autograd.grad(centre, image_BCYX, retain_graph=True)
    field_YX = gradient_BCYX[0].abs().sum(0)
    return field_YX / field_YX.max().clamp(min=torch.finfo(field_YX.dtype).tiny)


def share_holding(field_YX: Tensor, part: float) -> float:
    """The smallest share of the pixels that together hold `part` of the field's sum.

    0.5 of a field that is spread evenly lies in 0.5 of the pixels; the nearer to 0, the more local.
    """
    ranked = field_YX.flatten().sort(descending=True).values.double()
    held = ranked.cumsum(0)
    # As a float the last sum may fall a rounding error short of the whole.
    count = int((held < part * held[-1] * (1 - 1e-12)).sum()) + 1
    return count / ranked.numel()
