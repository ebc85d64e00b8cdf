"""Triton kernel of the output."""

import triton
import triton.language as tl

from .state import state_before
from .tiles import (
    BC,
    NS,
    OPEN,
    add_scores,
    decay_to_edge,
    head_columns,
    least_decay,
    load_gates,
    load_rows,
    own_scores,
    store_rows,
    strides,
)


@triton.jit
def direction_output(
    b_o, p_h, p_q, s_q, p_k, s_k, p_v, s_v, p_g, s_g, m_k, m_v, i_s, T,
    NORM: tl.constexpr, REVERSE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add what queries read in one direction from before their sub-chunk: (q ⊙ P) S, [BC, BV];
    and the scores in it, [BC, BC].
    """
    b_h = state_before(
        p_h, p_k, s_k, p_v, s_v, p_g, s_g, m_k, m_v, i_s, T, NORM, not REVERSE, False, PRECISION
    )
    t_0 = i_s * BC
    o_t = t_0 + tl.arange(0, BC)
    b_q = load_rows(p_q, s_q, m_k, o_t, 0, T)
    b_k = load_rows(p_k, s_k, m_k, o_t, 0, T)
    b_v = load_rows(p_v, s_v, m_v, o_t, 0, T)
    b_g = load_gates(p_g, s_g, m_k, t_0, T, NORM)
    b_qe = b_q * decay_to_edge(b_g, REVERSE, True, PRECISION)
    b_o += tl.dot(b_qe, b_h, input_precision=PRECISION)
    b_scores = add_scores(own_scores(b_q, b_k, 1), b_q, b_k, b_g, t_0, T, REVERSE, PRECISION)
    return b_o + tl.dot(b_scores, b_v, input_precision=PRECISION)


@triton.jit(do_not_specialize=['T', 'N', 'B', 'H', 'factor', *strides('q', 'k', 'v', 'gf', 'gb')])
def bi_gla_kernel_output(
    p_q, p_k, p_v, p_gf, p_gb, p_entering, p_decay, p_o,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qd: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kd: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vd: tl.int64,
    s_gfb: tl.int64, s_gft: tl.int64, s_gfh: tl.int64, s_gfd: tl.int64,
    s_gbb: tl.int64, s_gbt: tl.int64, s_gbh: tl.int64, s_gbd: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64, H: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr, NORM: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, ALIGNED: tl.constexpr, REST: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """o [B, T, H, V] of one sub-chunk and head (equation 4). Grid: (ceil(T / BC), B · H).

    REST leaves open chunks to `bi_gla_kernel_open_output`.
    """
    i_s = tl.program_id(0).to(tl.int64)
    i_bh = tl.program_id(1).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    t_0 = i_s * BC
    o_t = t_0 + tl.arange(0, BC)
    o_k = tl.arange(0, BK)
    m_k = o_k < K
    if REST:
        p_decay += (i_bh * N + i_s // NS) * K
        if least_decay(p_decay, B * H * N * K, m_k, HAS_FWD, HAS_BWD) >= OPEN:
            return
    p_entering += (i_bh * N + i_s // NS) * K * V
    of_bwd = B * H * N * K * V
    p_q = head_columns(p_q, i_b, i_h, s_qb, s_qh, s_qd, 0, BK, ALIGNED)
    p_k = head_columns(p_k, i_b, i_h, s_kb, s_kh, s_kd, 0, BK, ALIGNED)

    if HAS_FWD:
        p_gf = head_columns(p_gf, i_b, i_h, s_gfb, s_gfh, s_gfd, 0, BK, ALIGNED)
    if HAS_BWD:
        p_gb = head_columns(p_gb, i_b, i_h, s_gbb, s_gbh, s_gbd, 0, BK, ALIGNED)
    for i_v in range(0, tl.cdiv(V, BV)):
        v_0 = i_v * BV
        o_v = v_0 + tl.arange(0, BV)
        m_v = o_v < V
        p_vi = head_columns(p_v, i_b, i_h, s_vb, s_vh, s_vd, v_0, BV, ALIGNED)
        o_h = o_k[:, None] * V + o_v[None, :]
        b_o = tl.zeros([BC, BV], dtype=tl.float32)
        if HAS_FWD:
            b_o = direction_output(
                b_o, p_entering + o_h, p_q, s_qt, p_k, s_kt, p_vi, s_vt, p_gf, s_gft, m_k, m_v, i_s,
                T, NORM, False, PRECISION,
            )  # fmt: skip
        if HAS_BWD:
            b_o = direction_output(
                b_o, p_entering + of_bwd + o_h, p_q, s_qt, p_k, s_kt, p_vi, s_vt, p_gb, s_gbt, m_k,
                m_v, i_s, T, NORM, True, PRECISION,
            )  # fmt: skip
        p_oi = p_o + i_b * T * H * V + i_h * V + v_0
        store_rows(p_oi, H * V, m_v, b_o * factor, o_t, T)
