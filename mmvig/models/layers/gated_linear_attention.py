"""The token mixer of ViG: gated linear attention over an image, with local context injected.

Dimension letters, here and in the other model files: B batch, C channels, Y X rows and columns,
T tokens = Y·X in raster order, H heads, K key width, V value width per head, R rank of the gates.
"""

from torch import Tensor, nn

from mmvig.kernels import bi_gla
from mmvig.ops.blend import blend
from mmvig.ops.conv import conv2d
from mmvig.ops.linear import Linear
from mmvig.ops.tokenwise import tokenwise

from .norm import RMSNorm


class GatedLinearAttention2d(nn.Module):
    """Bidirectional gated linear attention with 2D gated locality injection.

    ViG, arXiv 2405.18425, section 3.3. All projections read the local map L = DWConv3×3(X)::

        q, k, v = L W_qkv
        g_fwd, g_bwd = logsigmoid(L W_1 W_2 + b) / 16          natural-log decays, ≤ 0
        G = sigmoid(L W_g + b_g)
        out = W_o (G ⊙ RMSNorm_g(bi_gla(q, k, v, g_fwd, g_bwd)) + (1 - G) ⊙ RMSNorm_l(L))

    with both norms per head. Plain ViG tiny alone (`activation`) takes SiLU of the convolution and
    of what W_o reads.

    Args:
        channels: C; the values have C / heads channels per head and the keys half as many.
        heads: H.
        gate_rank: R, width between W_1 and W_2.
        activation: SiLU after the convolution and before W_o.
        backend: backend of `bi_gla`.
    """

    GATE_NORMALIZER = 16

    def __init__(
        self,
        channels: int,
        heads: int,
        gate_rank: int = 16,
        activation: bool = False,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        if channels % (2 * heads):
            raise ValueError(
                f'expected channels to be a multiple of 2 * heads, so that keys have half the '
                f'width of values; got {channels} channels and {heads} heads'
            )
        self.heads = heads
        self.key_channels = channels // 2
        self.backend = backend
        self.local_conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.qkv = Linear(channels, 2 * self.key_channels + channels, bias=False)
        self.gate_down = Linear(channels, gate_rank, bias=False)
        self.gate_up = Linear(gate_rank, 2 * self.key_channels)
        self.inject_gate = Linear(channels, channels)
        self.global_norm = RMSNorm(channels // heads)
        self.local_norm = RMSNorm(channels // heads)
        self.proj = Linear(channels, channels, bias=False)
        self.activation = nn.SiLU() if activation else nn.Identity()
        self._init_xavier(self.local_conv)

    def init_projections(self) -> None:
        """Initialise the linear layers as the official code does in its plain backbone only."""
        self._init_xavier(self.qkv, self.gate_down, self.gate_up, self.inject_gate, self.proj)

    @staticmethod
    def _init_xavier(*layers: nn.Module) -> None:
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight, gain=2**-2.5)

    def forward(self, x_BYXC: Tensor) -> Tensor:
        local_BYXC = self.local_map(x_BYXC)
        global_BTHV = self.global_attention(*self.project(local_BYXC.flatten(1, 2)))
        return self.inject(global_BTHV, local_BYXC)

    def local_map(self, x_BYXC: Tensor) -> Tensor:
        """L, which all projections read."""
        return self.activation(conv2d(self.local_conv, x_BYXC))

    def project(self, local_BTC: Tensor) -> tuple[Tensor, ...]:
        """q, k, v and the logits of both gates, by heads: [B, T, H, K or V]."""
        K, C = self.key_channels, local_BTC.shape[-1]
        q, k, v = self.qkv(local_BTC).split((K, K, C), dim=-1)
        g_fwd, g_bwd = self.gate_up(self.gate_down(local_BTC)).split((K, K), dim=-1)
        return tuple(map(self._split_heads, (q, k, v, g_fwd, g_bwd)))

    def global_attention(self, *projected: Tensor | None, **states) -> Tensor | tuple:
        """Bidirectional gated linear attention over all tokens, [B, T, H, V].

        `states` are `initial_states` and `return_states` of `bi_gla`, for a part of the tokens.
        """
        return bi_gla(
            *projected, gate_normalizer=self.GATE_NORMALIZER, backend=self.backend, **states
        )

    def inject(self, global_BTHV: Tensor, local_BYXC: Tensor) -> Tensor:
        """What is seen globally and locally, mixed by a gate, [B, Y, X, C]."""
        global_BYXC = global_BTHV.flatten(2).unflatten(1, local_BYXC.shape[1:3])
        modules = (self.inject_gate, self.global_norm, self.local_norm, self.activation, self.proj)
        return tokenwise(self._inject, global_BYXC, local_BYXC, modules=modules)

    def _inject(self, global_TC: Tensor, local_TC: Tensor) -> Tensor:
        gate_TC = self.inject_gate(local_TC)
        global_TC = self.global_norm(self._split_heads(global_TC)).flatten(-2)
        local_TC = self.local_norm(self._split_heads(local_TC)).flatten(-2)
        return self.proj(self.activation(blend(gate_TC, global_TC, local_TC)))

    def _split_heads(self, x_BTC: Tensor) -> Tensor:
        return x_BTC.unflatten(-1, (self.heads, -1))
