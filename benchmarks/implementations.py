"""Implementations of bidirectional gated linear attention, mmvig's and others, in one signature.

A provider maps (q, k, v, g_fwd, g_bwd) of [B, T, H, ·] to o [B, T, H, V]. An entry of `BUILDERS`
returns None if its provider cannot run: without a GPU, or without its package.
"""

from collections.abc import Callable
from importlib.util import find_spec

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from mmvig.kernels import bi_gla
from mmvig.kernels.chunked import chunked_forward

Provider = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


@triton.jit(do_not_specialize=['T'])
def token_loop_kernel(p_q, p_k, p_v, p_gf, p_gb, p_o, T, scale, H: tl.constexpr, K: tl.constexpr,
                      V: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr):  # fmt: skip
    """One program per direction, head and V tile loops over all tokens; inputs are contiguous."""
    i_v, i_bh, i_dir = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    o_k, o_v = tl.arange(0, BK), i_v * BV + tl.arange(0, BV)
    m_k, m_v = o_k < K, o_v < V
    p_g = p_gb if i_dir else p_gf
    b_h = tl.zeros([BK, BV], dtype=tl.float32)
    base = (i_bh // H).to(tl.int64) * T * H + i_bh % H
    p_out = p_o + i_dir.to(tl.int64) * (tl.num_programs(1) // H) * T * H * V
    for i in range(0, T):
        row = base + (T - 1 - i if i_dir else i) * H
        b_k = tl.load(p_k + row * K + o_k, mask=m_k, other=0).to(tl.float32)
        b_v = tl.load(p_v + row * V + o_v, mask=m_v, other=0).to(tl.float32)
        b_q = tl.load(p_q + row * K + o_k, mask=m_k, other=0).to(tl.float32)
        b_g = tl.load(p_g + row * K + o_k, mask=m_k, other=0).to(tl.float32)
        b_h = b_h * tl.exp(b_g)[:, None] + b_k[:, None] * b_v[None, :]
        b_o = tl.sum(b_h * b_q[:, None], 0) * (scale / 2)
        tl.store(p_out + row * V + o_v, b_o.to(p_o.dtype.element_ty), mask=m_v)


def token_loop(q, k, v, g_fwd, g_bwd) -> Tensor:
    """Both directions in one launch of T steps, like the paper's inference kernel; no backward."""
    B, T, H, K = q.shape
    V = v.shape[-1]
    q, k, v, g_fwd, g_bwd = (x.contiguous() for x in (q, k, v, g_fwd, g_bwd))
    out = torch.empty(2, *v.shape, dtype=v.dtype, device=v.device)
    BK, BV = triton.next_power_of_2(K), min(32, triton.next_power_of_2(V))
    token_loop_kernel[(triton.cdiv(V, BV), B * H, 2)](
        q, k, v, g_fwd, g_bwd, out, T, K**-0.5, H, K, V, BK, BV, num_warps=1
    )
    return out.sum(0)


def flipped(causal: Callable) -> Provider:
    """Both directions by a causal operator of flash-linear-attention, with flips."""

    def both(q, k, v, g_fwd, g_bwd):
        forward = causal(q, k, v, g_fwd.to(q.dtype))[0]
        q, k, v, g = (x.flip(1) for x in (q, k, v, g_bwd.to(q.dtype)))
        return (forward + causal(q, k, v, g)[0].flip(1)) / 2

    return both


def _fla(name: str) -> Provider | None:
    if find_spec('fla') is None or not torch.cuda.is_available():
        return None
    import fla.ops.gla

    return flipped(getattr(fla.ops.gla, name))


def sdpa(q, k, v, g_fwd, g_bwd) -> Tensor:
    """Softmax attention with heads of width V: another function, the usual alternative."""
    x = v.transpose(1, 2)
    return F.scaled_dot_product_attention(x, x, x).transpose(1, 2)


def compiled_chunked() -> Provider:
    forward = torch.compile(chunked_forward, dynamic=True)
    return lambda q, k, v, g_fwd, g_bwd: forward(q, k, v, g_fwd, g_bwd, q.shape[-1] ** -0.5)


def _ours(backend: str) -> Provider:
    return lambda *args: bi_gla(*args, backend=backend)


BUILDERS: dict[str, Callable[[], Provider | None]] = {
    'triton': lambda: _ours('triton') if torch.cuda.is_available() else None,
    'chunked': lambda: _ours('chunked'),
    'native': lambda: _ours('native') if not torch.cuda.is_available() else None,
    'chunked-compiled': compiled_chunked,
    'token-loop': lambda: token_loop if torch.cuda.is_available() else None,
    'fla-chunk': lambda: _fla('chunk_gla'),
    'fla-recurrent': lambda: _fla('fused_recurrent_gla'),
    'sdpa': lambda: sdpa,
}
FORWARD_ONLY = ('token-loop', 'chunked-compiled')
TOKEN_BY_TOKEN = ('token-loop', 'fla-recurrent')
OTHER_FUNCTION = ('sdpa',)  # not checked against the reference
SLOW_TO_BUILD = ('chunked-compiled',)  # minutes for each length; only when asked for by name
