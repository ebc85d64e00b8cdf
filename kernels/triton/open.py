"""Triton kernel of the output of open chunks, and of the gradient of values, which has its form.

Open chunks have gates that add up to so little that pairs of tokens may take their decays from the
chunk's edge (equation 13). A whole chunk is then one tile.
"""

import triton
import triton.language as tl

from .tiles import (
    BC,
    CONVERT_MASKS,
    NS,
    OPEN,
    OPEN_GRADIENTS,
    as_gates,
    columns,
    head,
    head_columns,
    least_decay,
    load_rows,
    store_rows,
    strides,
)

CHUNK = tl.constexpr(BC.value * NS.value)
LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def earlier():
    """Ones where a column's token comes before a row's or is the same, [CHUNK, CHUNK]."""
    o_r = tl.arange(0, CHUNK)
    b_m = (o_r[None, :] <= o_r[:, None]).to(tl.float16)
    if CONVERT_MASKS:
        b_m *= (tl.sum(b_m.to(tl.float32)) > 0).to(tl.float16)
    return b_m


@triton.jit
def gate_sums(b_earlier, p_g, s_g, m_k, o_t, T, NORM: tl.constexpr, REVERSE: tl.constexpr):
    """Sums of the gates from the edge where a direction begins up to and with each token, in base
    2, [CHUNK, BK]. Gates are cut in two halves of 11 bits, which fit products of 16 bits.
    """
    b_g = as_gates(load_rows(p_g, s_g, m_k, o_t, 0, T), NORM) * LOG2_E
    if NORM != 0.0:
        b_g = tl.where((o_t < T)[:, None], b_g, 0.0)
    b_leading = b_g.to(tl.float16)
    b_rest = (b_g - b_leading.to(tl.float32)).to(tl.float16)
    if REVERSE:
        b_earlier = tl.trans(b_earlier)
    return tl.dot(b_earlier, b_rest, tl.dot(b_earlier, b_leading))


@triton.jit
def direction_scores(
    b_q, b_k, b_sum, REVERSE: tl.constexpr, SWAPPED: tl.constexpr, PRECISION: tl.constexpr
):
    """One direction's scores, [CHUNK, CHUNK], and what its states meet, [CHUNK, BK].

    Rows are queries. SWAPPED, they are keys, which the gradients of states meet once these have
    the decay of the whole chunk.
    """
    o_r = tl.arange(0, CHUNK)
    b_rows = b_q * tl.exp2(b_sum)
    b_columns = b_k * tl.exp2(-b_sum)
    if SWAPPED:
        b_rows, b_columns = b_columns, b_rows
    b_s = tl.dot(b_rows, tl.trans(b_columns), input_precision=PRECISION)
    o_row, o_column = o_r[:, None], o_r[None, :]
    m_s = o_row <= o_column if REVERSE != SWAPPED else o_row >= o_column
    return tl.where(m_s, b_s, 0.0), b_rows


@triton.jit(do_not_specialize=['T', 'N', 'B', 'H', 'factor', *strides('q', 'k', 'v', 'gf', 'gb')])
def bi_gla_kernel_open_output(
    p_q, p_k, p_v, p_gf, p_gb, p_states, p_decay, p_o,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qd: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kd: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vd: tl.int64,
    s_gfb: tl.int64, s_gft: tl.int64, s_gfh: tl.int64, s_gfd: tl.int64,
    s_gbb: tl.int64, s_gbt: tl.int64, s_gbh: tl.int64, s_gbd: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64, H: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr, NORM: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, ALIGNED: tl.constexpr, SWAPPED: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """o [B, T, H, V] of one chunk and head (equation 4), if the chunk is open. Grid: (N, H, B).

    SWAPPED, dv (equation 9), from v that are the gradients of o and states that are theirs.
    """
    i_n = tl.program_id(0).to(tl.int64)
    i_h = tl.program_id(1).to(tl.int64)
    i_b = tl.program_id(2).to(tl.int64)
    o_k = tl.arange(0, BK)
    m_k = o_k < K
    i_chunk = (i_b * H + i_h) * N + i_n
    of_bwd = B * H * N
    p_decay += i_chunk * K
    if SWAPPED:
        least: tl.constexpr = OPEN_GRADIENTS
    else:
        least: tl.constexpr = OPEN
    if least_decay(p_decay, of_bwd * K, m_k, HAS_FWD, HAS_BWD) < least:
        return
    o_t = i_n * CHUNK + tl.arange(0, CHUNK)
    p_states += i_chunk * K * V
    p_q = head_columns(p_q, i_b, i_h, s_qb, s_qh, s_qd, 0, BK, ALIGNED)
    p_k = head_columns(p_k, i_b, i_h, s_kb, s_kh, s_kd, 0, BK, ALIGNED)
    p_v = head(p_v, i_b, i_h, s_vb, s_vh, ALIGNED)
    b_q = load_rows(p_q, s_qt, m_k, o_t, 0, T)
    b_k = load_rows(p_k, s_kt, m_k, o_t, 0, T)
    b_earlier = earlier()
    b_scores = tl.zeros([CHUNK, CHUNK], dtype=tl.float32)
    if HAS_FWD:
        p_gf = head_columns(p_gf, i_b, i_h, s_gfb, s_gfh, s_gfd, 0, BK, ALIGNED)
        b_sum = gate_sums(b_earlier, p_gf, s_gft, m_k, o_t, T, NORM, False)
        b_s, b_f = direction_scores(b_q, b_k, b_sum, False, SWAPPED, PRECISION)
        b_scores += b_s
    if HAS_BWD:
        p_gb = head_columns(p_gb, i_b, i_h, s_gbb, s_gbh, s_gbd, 0, BK, ALIGNED)
        b_sum = gate_sums(b_earlier, p_gb, s_gbt, m_k, o_t, T, NORM, True)
        b_s, b_b = direction_scores(b_q, b_k, b_sum, True, SWAPPED, PRECISION)
        b_scores += b_s
    for i_v in range(0, tl.cdiv(V, BV)):
        v_0 = i_v * BV
        o_v = v_0 + tl.arange(0, BV)
        m_v = o_v < V
        p_h = p_states + o_k[:, None] * V + o_v[None, :]
        m_h = m_k[:, None] & m_v[None, :]
        b_v = load_rows(columns(p_v, s_vd, v_0, BV, ALIGNED), s_vt, m_v, o_t, 0, T)
        b_o = tl.dot(b_scores, b_v, input_precision=PRECISION)
        if HAS_FWD:
            b_h = tl.load(p_h, mask=m_h, other=0.0)
            if SWAPPED:
                b_h *= tl.load(p_decay + o_k, mask=m_k, other=0.0)[:, None]
            b_o = tl.dot(b_f, b_h, b_o, input_precision=PRECISION)
        if HAS_BWD:
            b_h = tl.load(p_h + of_bwd * K * V, mask=m_h, other=0.0)
            if SWAPPED:
                b_h *= tl.load(p_decay + of_bwd * K + o_k, mask=m_k, other=0.0)[:, None]
            b_o = tl.dot(b_b, b_h, b_o, input_precision=PRECISION)
        p_oi = p_o + i_b * T * H * V + i_h * V + v_0
        store_rows(p_oi, H * V, m_v, b_o * factor, o_t, T)
