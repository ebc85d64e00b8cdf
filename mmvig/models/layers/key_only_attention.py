"""Key-only attention and the convolution that alternates with it: the mixers of LinGlo.

**A reading of an abstract.** "Rethinking Query-Key Pairwise Interactions in Vision Transformers"
(arXiv 2207.00188) proposes "key-only attention, which excludes query-key pairwise interactions and
uses a compute-efficient saliency-gate to obtain attention weights, modeling local-global
interactions in all stages", linear in the input, in an "alternate layout" of convolutions and
attention. Its formulas are not available to us. What follows is our reading of those sentences, and
claims no number of the paper.

If the query is taken out of softmax(q_t · k_s), the weights no longer depend on the position t that
reads: all rows of the [T, T] matrix are equal, and one row, a gate per key, is left. Per head, with
keys and values k, v = X W_k, X W_v:

    a_s = sigmoid(k_s W_a + b_a)                               saliency gate, a number per token
    c   = Σ_s a_s v_s / Σ_s a_s             s in the image     global context, the same for all t
    l_t = Σ_s a_s v_s / Σ_s a_s             s around t         local context, a window of w×w tokens
    out = W_o (l_t + sigmoid(k_t) ⊙ c)                         each token gates what it takes of c

W_a reads the keys of all heads. Both contexts weigh the values by one gate; both are averages, so
neither grows with the image. This is a pooling and no recurrence: through `bi_gla` it would need
decays of 1, a division by the summed gates and a correction for the token that both directions
count, all for a sum that one product makes.

Dimension letters as in mixer.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvig.ops.conv import conv2d
from mmvig.ops.linear import Linear

EPS = 1e-6  # an average whose gates are all shut is 0


def global_sums(gate_BYXH: Tensor, value_BYXHV: Tensor) -> tuple[Tensor, Tensor]:
    """Over the image or a part of it: the weighed values [B, H, V] and the gates [B, H]."""
    return torch.einsum('byxh,byxhv->bhv', gate_BYXH, value_BYXHV), gate_BYXH.sum((1, 2))


def global_context(total_BHV: Tensor, weight_BH: Tensor) -> Tensor:
    """The average value of the image, weighed by the gates, of its sums: [B, 1, 1, H, V]."""
    return (total_BHV / (weight_BH + EPS)[..., None])[:, None, None]


def local_context(gate_BYXH: Tensor, value_BYXHV: Tensor, window: int) -> Tensor:
    """The average value of the window around each token, weighed by the gates: [B, Y, X, H, V].

    Beyond the border there are no tokens: a window is smaller there.
    """
    weighed_BYXHV = gate_BYXH[..., None] * value_BYXHV
    total_BYXC = _window_mean(weighed_BYXHV.flatten(3), window)
    weight_BYXH = _window_mean(gate_BYXH, window) + EPS
    return total_BYXC.view(value_BYXHV.shape) / weight_BYXH[..., None]


def _window_mean(x_BYXC: Tensor, window: int) -> Tensor:
    x_BCYX = x_BYXC.permute(0, 3, 1, 2)
    mean_BCYX = F.avg_pool2d(x_BCYX, window, stride=1, padding=window // 2)
    return mean_BCYX.permute(0, 2, 3, 1).contiguous()


class KeyOnlyAttention2d(nn.Module):
    """Global and local averages of the values, weighed by a saliency gate on the keys.

    Cost and memory are linear in the tokens. Averages are taken in at least float32.

    Args:
        channels: C, in H heads of V channels.
        heads: H, the number of gates of a token.
        window: w, side of the local window; odd.
    """

    def __init__(self, channels: int, heads: int, window: int = 3) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(
                f'expected channels to be a multiple of heads, got {channels} channels and '
                f'{heads} heads'
            )
        if window < 1 or window % 2 == 0:
            raise ValueError(f'expected an odd window, got {window}')
        self.heads = heads
        self.window = window
        self.key = Linear(channels, channels, bias=False)
        self.value = Linear(channels, channels, bias=False)
        self.saliency = Linear(channels, heads)
        self.proj = Linear(channels, channels, bias=False)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        key, gate, value = self.project(x_BYXC)
        with torch.autocast(x_BYXC.device.type, enabled=False):
            context = global_context(*global_sums(gate, value))
        return self.read(key, gate, value, context)

    def project(self, x_BYXC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys [B, Y, X, C]; gates [B, Y, X, H] and values [B, Y, X, H, V] for averages."""
        key, value = self.key(x_BYXC), self.value(x_BYXC)
        gate = self.saliency(key).sigmoid()
        exact = torch.promote_types(value.dtype, torch.float32)
        return key, gate.to(exact), value.to(exact).unflatten(-1, (self.heads, -1))

    def read(self, key: Tensor, gate: Tensor, value: Tensor, context: Tensor) -> Tensor:
        """What each token takes of the window around it and of the global context."""
        with torch.autocast(key.device.type, enabled=False):
            local = local_context(gate, value, self.window).flatten(3)
            mixed = local + key.sigmoid() * context.flatten(3)
        return self.proj(mixed)


class DepthwiseSeparableConv2d(nn.Module):
    """A 3×3 convolution per channel, SiLU, and a linear layer: exchange between neighbours only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.proj = Linear(channels, channels)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        return self.proj(F.silu(conv2d(self.conv, x_BYXC)))
