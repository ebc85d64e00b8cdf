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
    dtype = compute_dtype(q_BTHK, k_BTHK, v_BTHV, g_fwd_BTHK, g_bwd_BTHK)
    with torch.autocast(q_BTHK.device.type, enabled=False):
        q, k, v = (x.to(dtype) for x in (q_BTHK, k_BTHK, v_BTHV))
        g_fwd, g_bwd = (
            None if g is None else _gates(g.to(dtype), gate_normalizer)
            for g in (g_fwd_BTHK, g_bwd_BTHK)
        )
        tokens = range(q.shape[1])
        passes = []
        if g_fwd is not None:
            passes.append(_one_direction(q, k, v, g_fwd, tokens))
        if g_bwd is not None:
            passes.append(_one_direction(q, k, v, g_bwd, reversed(tokens)))
        return (sum(passes) * (scale / len(passes))).to(v_BTHV.dtype)


def _gates(x: Tensor, normalizer: float | None) -> Tensor:
    return x if normalizer is None else torch.nn.functional.logsigmoid(x) / normalizer


def _one_direction(q, k, v, g, order) -> Tensor:
    state_BHKV = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    outputs = [None] * q.shape[1]
    for t in order:
        kv_BHKV = k[:, t, :, :, None] * v[:, t, :, None, :]
        state_BHKV = g[:, t].exp()[..., None] * state_BHKV + kv_BHKV
        outputs[t] = torch.einsum('bhk,bhkv->bhv', q[:, t], state_BHKV)
    return torch.stack(outputs, dim=1)
