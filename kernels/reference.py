"""The recurrence of bidirectional gated linear attention, token by token: the specification.

Equations (1) to (3) of README.md, written as they stand. It runs on any device and in float64, is
differentiated by autograd, and is slow: every other backend is checked against it.

Dimension letters: B batch, T tokens, H heads, K key width, V value width per head.
"""

import torch
from torch import Tensor

from .dtypes import compute_dtype


def bi_gla_reference(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_fwd_BTHK: Tensor | None,
    g_bwd_BTHK: Tensor | None,
    scale: float,
    gate_normalizer: float | None = None,
) -> Tensor:
    """See `mmvig.kernels.bi_gla`, which checks the arguments and documents them."""
    return reference_states(
        q_BTHK, k_BTHK, v_BTHV, g_fwd_BTHK, g_bwd_BTHK, None, None, scale, gate_normalizer
    )[0]


def reference_states(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_fwd_BTHK: Tensor | None,
    g_bwd_BTHK: Tensor | None,
    initial_fwd_BHKV: Tensor | None,
    initial_bwd_BHKV: Tensor | None,
    scale: float,
    gate_normalizer: float | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The output, and the state that each direction leaves behind; None where it does not run."""
    dtype = compute_dtype(q_BTHK, k_BTHK, v_BTHV, g_fwd_BTHK, g_bwd_BTHK)
    with torch.autocast(q_BTHK.device.type, enabled=False):
        q, k, v = (x.to(dtype) for x in (q_BTHK, k_BTHK, v_BTHV))
        g_fwd, g_bwd = (
            None if g is None else _gates(g.to(dtype), gate_normalizer)
            for g in (g_fwd_BTHK, g_bwd_BTHK)
        )
        tokens = range(q.shape[1])
        passes, last_fwd, last_bwd = [], None, None
        if g_fwd is not None:
            o, last_fwd = _one_direction(q, k, v, g_fwd, tokens, initial_fwd_BHKV)
            passes.append(o)
        if g_bwd is not None:
            o, last_bwd = _one_direction(q, k, v, g_bwd, reversed(tokens), initial_bwd_BHKV)
            passes.append(o)
        o_BTHV = (sum(passes) * (scale / len(passes))).to(v_BTHV.dtype)
        return o_BTHV, last_fwd, last_bwd


def _gates(x: Tensor, normalizer: float | None) -> Tensor:
    return x if normalizer is None else torch.nn.functional.logsigmoid(x) / normalizer


def _one_direction(q, k, v, g, order, state_BHKV: Tensor | None) -> tuple[Tensor, Tensor]:
    if state_BHKV is None:
        state_BHKV = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    outputs = [None] * q.shape[1]
    for t in order:
        kv_BHKV = k[:, t, :, :, None] * v[:, t, :, None, :]
        state_BHKV = g[:, t].exp()[..., None] * state_BHKV + kv_BHKV
        outputs[t] = torch.einsum('bhk,bhkv->bhv', q[:, t], state_BHKV)
    return torch.stack(outputs, dim=1), state_BHKV
