"""Multi-head retention (ViR, arXiv 2310.19731) in its three equal forms.

One fixed decay γ per head, here by its natural logarithm. With q_t scaled by K^-1/2, a token reads

    parallel    o_t = Σ_s M_ts (q_t · k_s) v_s      M_ts = γ^(t-s) for s ≤ t, else 0
    recurrent   S_t = γ S_{t-1} + k_tᵀ v_t          o_t = q_t S_t
    chunkwise   inside a chunk the first, from chunk to chunk the second

The state S is that of `bi_gla`, for which decays are gates. Chunkwise parts of a sequence and
single tokens can follow one another in any order: each takes the state that the one before it left.

There is no gate, no softmax and no norm. The authors' published code multiplies the scores by M and
then takes a softmax over them, in its parallel form only: what M sets to 0 then counts as a score
of 0, so that form looks ahead and disagrees with their other two. Here the paper's formula stands,
and the forms agree. The bidirectional mode is the mean of the two directions: M_ts = γ^|t-s| / 2
off the diagonal and 1 on it. The authors' code instead appends the reversed tokens to the sequence.

Dimension letters as in mixer.py.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn

from mmvig.kernels import bi_gla
from mmvig.ops.linear import Linear


def parallel(
    q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, log_decay_H: Tensor, bidirectional: bool
) -> Tensor:
    """All tokens at once by a [T, T] mask: quadratic in T, one product for few tokens."""
    position_T = torch.arange(q_BTHK.shape[1], device=q_BTHK.device)
    distance_TT = position_T[:, None] - position_T
    mask_HTT = (log_decay_H[:, None, None] * distance_TT.abs()).exp()
    if bidirectional:
        mask_HTT = torch.where(distance_TT == 0, mask_HTT, mask_HTT / 2)
    else:
        mask_HTT = mask_HTT.masked_fill(distance_TT < 0, 0)
    scores_BHTT = torch.einsum('bthk,bshk->bhts', q_BTHK * q_BTHK.shape[-1] ** -0.5, k_BTHK)
    weights_BHTT = (scores_BHTT * mask_HTT).to(v_BTHV.dtype)
    return torch.einsum('bhts,bshv->bthv', weights_BHTT, v_BTHV)


def chunkwise(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    log_decay_H: Tensor,
    bidirectional: bool,
    backend: str = 'auto',
    **states,
) -> Tensor | tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
    """Linear in T: gated linear attention whose gates are one constant per head, not stored.

    `states` are `initial_states` and `return_states` of `bi_gla`.
    """
    gate_BTHK = log_decay_H[:, None].expand(k_BTHK.shape)
    backward = gate_BTHK if bidirectional else None
    return bi_gla(q_BTHK, k_BTHK, v_BTHV, gate_BTHK, backward, backend=backend, **states)


def recurrent(
    q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, log_decay_H: Tensor, bidirectional: bool
) -> Tensor:
    """Token by token with a state of constant size: `step` in a loop."""
    state, outputs = None, []
    for token in zip(q_BTHK.unbind(1), k_BTHK.unbind(1), v_BTHV.unbind(1), strict=True):
        state, o_BHV = step(state, *token, log_decay_H)
        outputs.append(o_BHV)
    o_BTHV = torch.stack(outputs, dim=1)
    if not bidirectional:
        return o_BTHV
    backward = recurrent(q_BTHK.flip(1), k_BTHK.flip(1), v_BTHV.flip(1), log_decay_H, False)
    return (o_BTHV + backward.flip(1)) / 2


def step(
    state_BHKV: Tensor | None, q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, log_decay_H: Tensor
) -> tuple[Tensor, Tensor]:
    """One token of the recurrent form: the next state, and the output [B, H, V].

    The state is None before the first token, and in the dtype of `log_decay_H`, at least float32,
    after it: what is summed over a whole sequence keeps its precision under autocast. For a single
    token this is several times faster than `bi_gla`, and unlike there, states have gradients.
    """
    dtype = torch.promote_types(log_decay_H.dtype, torch.float32)
    update_BHKV = (k_BHK[..., :, None] * v_BHV[..., None, :]).to(dtype)
    if state_BHKV is not None:
        update_BHKV = update_BHKV + log_decay_H.exp()[:, None, None] * state_BHKV
    scaled_BHK = q_BHK * q_BHK.shape[-1] ** -0.5
    o_BHV = (scaled_BHK[..., None] * update_BHKV).sum(dim=-2)
    return update_BHKV, o_BHV.to(v_BHV.dtype)


FORMS = {'parallel': parallel, 'chunkwise': chunkwise, 'recurrent': recurrent}


class Retention(nn.Module):
    """Multi-head retention over a sequence of tokens, [B, T, C] to [B, T, C].

    The decays are those of the authors' code, γ_h = 1 - e^x_h with x_h from log 1/32 to log 1/512
    in equal steps: memories of 32 to 512 tokens.

    Args:
        channels: C, in H heads of K = V = C / H channels.
        heads: H.
        bidirectional: whether a token also reads those after it.
        form: 'chunkwise' (linear in T, through `bi_gla`), 'parallel' (quadratic in T) or
            'recurrent' (a loop over tokens); numbers are equal.
        backend: backend of `bi_gla`.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        bidirectional: bool = False,
        form: str = 'chunkwise',
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(
                f'expected channels to be a multiple of heads, got {channels} channels and '
                f'{heads} heads'
            )
        if form not in FORMS:
            raise ValueError(f'expected form to be one of {", ".join(FORMS)}; got {form!r}')
        self.heads = heads
        self.bidirectional = bidirectional
        self.backend = backend
        options = dict(backend=backend) if form == 'chunkwise' else {}
        self.retain = partial(FORMS[form], **options)
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        forgotten_H = torch.linspace(math.log(1 / 32), math.log(1 / 512), heads).exp()
        self.register_buffer('log_decay', torch.log1p(-forgotten_H), persistent=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        o_BTHV = self.retain(*self._heads(x_BTC), self.log_decay, self.bidirectional)
        return self.proj(o_BTHV.flatten(2))

    def step(self, state_BHKV: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens after those that `state` remembers: the next state, and their outputs.

        Args:
            state_BHKV: None before the first token, then what the last call returned.
            x: one token [B, C], or several that follow one another [B, T, C], which need
                `torch.no_grad()`.

        Raises:
            ValueError: the retention is bidirectional, so that an output depends on later tokens.
            RuntimeError: gradients of several tokens would be recorded.
        """
        if self.bidirectional:
            raise ValueError(
                'expected an autoregressive retention: in bidirectional mode an output depends on '
                "tokens that have not come yet; build it with mode='autoregressive'"
            )
        if x.dim() == 2:
            state_BHKV, o = step(state_BHKV, *self._heads(x), self.log_decay)
        else:
            o, (state_BHKV, _) = chunkwise(
                *self._heads(x), self.log_decay, False, self.backend,
                initial_states=(state_BHKV, None), return_states=True,
            )  # fmt: skip
        return state_BHKV, self.proj(o.flatten(-2))

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
