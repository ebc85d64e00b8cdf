"""Triton kernel of the gradients of queries, keys and gates of open chunks."""

import triton
import triton.language as tl

from .gradients import to_logits
from .open import CHUNK, earlier, gate_sums
from .tiles import (
    OPEN_GRADIENTS,
    columns,
    head,
    head_columns,
    least_decay,
    load_rows,
    store_rows,
    strides,
)


@triton.jit
def leading(b_x):
    """What a product in tf32 reads of its operand: the ten leading bits of a fraction."""
    return (b_x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def over_values(
    p_h, p_dh, p_next, has_next, p_decay, p_v, s_v, s_vd, p_do, s_do, s_dod, m_k, o_t, T,
    K: tl.constexpr, V: tl.constexpr, BV: tl.constexpr, ALIGNED: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Sums over values: gradients of scores [CHUNK, CHUNK], and of those of tokens with themselves
    [CHUNK]; what a direction's states give to the gradients of decayed queries and keys, [CHUNK,
    BK] (equation 10); and S ⊙ dS of the state that leaves the chunk, [BK].
    """
    BK: tl.constexpr = m_k.shape[0]
    b_dq = tl.zeros([CHUNK, BK], dtype=tl.float32)
    b_dk = tl.zeros([CHUNK, BK], dtype=tl.float32)
    b_ds = tl.zeros([CHUNK, CHUNK], dtype=tl.float32)
    b_self = tl.zeros([CHUNK], dtype=tl.float32)
    b_through = tl.zeros([BK], dtype=tl.float32)
    b_decay = tl.load(p_decay + tl.arange(0, BK), mask=m_k, other=1.0)
    for i_v in range(0, tl.cdiv(V, BV)):
        v_0 = i_v * BV
        o_v = v_0 + tl.arange(0, BV)
        m_v = o_v < V
        o_h = tl.arange(0, BK)[:, None] * V + o_v[None, :]
        m_h = m_k[:, None] & m_v[None, :]
        b_do = load_rows(columns(p_do, s_dod, v_0, BV, ALIGNED), s_do, m_v, o_t, 0, T)
        b_h = tl.load(p_h + o_h, mask=m_h, other=0.0)
        b_dq = tl.dot(b_do, tl.trans(b_h), b_dq, input_precision=PRECISION)
        b_dh = tl.load(p_dh + o_h, mask=m_h, other=0.0)
        # What leaves the last chunk is read by nobody.
        b_h = tl.load(p_next + o_h, mask=m_h & has_next, other=0.0)
        b_through += tl.sum(b_h * b_dh, 1)
        b_dh *= b_decay[:, None]
        b_v = load_rows(columns(p_v, s_vd, v_0, BV, ALIGNED), s_v, m_v, o_t, 0, T)
        b_dk = tl.dot(b_v, tl.trans(b_dh), b_dk, input_precision=PRECISION)
        b_self += tl.sum(b_v * b_do, 1)
        b_ds = tl.dot(b_do, tl.trans(b_v), b_ds, input_precision=PRECISION)
    return b_ds, b_self, b_dq, b_dk, b_through


@triton.jit
def direction_gradients(
    b_q, b_k, b_sum, p_h, p_dh, p_next, has_next, p_decay,
    p_v, s_v, s_vd, p_do, s_do, s_dod, m_k, o_t, T,
    K: tl.constexpr, V: tl.constexpr, BV: tl.constexpr, ALIGNED: tl.constexpr,
    REVERSE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One direction's gradients of q, k and its gates, [CHUNK, BK], without the factor.

    A gate's is the sum of q ⊙ dq - k ⊙ dk from it to the far edge, and of what passes that edge
    (equation 14). Of the pairs that do not pass the gate, only roundings in float32 are left, since
    both products read the same numbers.
    """
    b_ds, b_self, b_dq, b_dk, b_through = over_values(
        p_h, p_dh, p_next, has_next, p_decay, p_v, s_v, s_vd, p_do, s_do, s_dod, m_k, o_t, T,
        K, V, BV, ALIGNED, PRECISION,
    )  # fmt: skip
    o_r = tl.arange(0, CHUNK)
    m_s = o_r[:, None] < o_r[None, :] if REVERSE else o_r[:, None] > o_r[None, :]
    b_s = tl.where(m_s, b_ds, 0.0)
    b_ke = leading(b_k * tl.exp2(-b_sum))
    b_dq = tl.dot(b_s, b_ke, b_dq, input_precision=PRECISION)
    b_qe = leading(b_q * tl.exp2(b_sum))
    b_dk = tl.dot(tl.trans(b_s), b_qe, b_dk, input_precision=PRECISION)
    b_dg = tl.cumsum(b_qe * b_dq - b_ke * b_dk, 0, reverse=not REVERSE) + b_through[None, :]
    b_dq = b_dq * tl.exp2(b_sum) + b_self[:, None] * b_k
    b_dk = b_dk * tl.exp2(-b_sum) + b_self[:, None] * b_q
    return b_dq, b_dk, b_dg


@triton.jit(
    do_not_specialize=['T', 'N', 'B', 'H', 'factor', *strides('q', 'k', 'v', 'gf', 'gb', 'do')]
)
def bi_gla_kernel_open_gradients(
    p_q, p_k, p_v, p_gf, p_gb, p_do, p_entering, p_leaving, p_decay, p_dq, p_dk, p_dgf, p_dgb,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qd: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kd: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vd: tl.int64,
    s_gfb: tl.int64, s_gft: tl.int64, s_gfh: tl.int64, s_gfd: tl.int64,
    s_gbb: tl.int64, s_gbt: tl.int64, s_gbh: tl.int64, s_gbd: tl.int64,
    s_dob: tl.int64, s_dot: tl.int64, s_doh: tl.int64, s_dod: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64, H: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr, NORM: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, ALIGNED: tl.constexpr, ADD: tl.constexpr,
    BOTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of q, k and the gates of one chunk and head, if it is open. Grid: (N, H, B).

    `p_entering` holds the states that enter each chunk, `p_leaving` the gradients of those that
    leave it, without the factor on the output, which is applied here. ADD and BOTH as in
    `bi_gla_kernel_gradients`.
    """
    i_n = tl.program_id(0).to(tl.int64)
    i_h = tl.program_id(1).to(tl.int64)
    i_b = tl.program_id(2).to(tl.int64)
    m_k = tl.arange(0, BK) < K
    i_chunk = (i_b * H + i_h) * N + i_n
    of_bwd = B * H * N
    p_decay += i_chunk * K
    if least_decay(p_decay, of_bwd * K, m_k, HAS_FWD or BOTH, HAS_BWD or BOTH) < OPEN_GRADIENTS:
        return
    o_t = i_n * CHUNK + tl.arange(0, CHUNK)
    p_h = p_entering + i_chunk * K * V
    p_dh = p_leaving + i_chunk * K * V
    p_q = head_columns(p_q, i_b, i_h, s_qb, s_qh, s_qd, 0, BK, ALIGNED)
    p_k = head_columns(p_k, i_b, i_h, s_kb, s_kh, s_kd, 0, BK, ALIGNED)
    p_v = head(p_v, i_b, i_h, s_vb, s_vh, ALIGNED)
    p_do = head(p_do, i_b, i_h, s_dob, s_doh, ALIGNED)
    b_q = load_rows(p_q, s_qt, m_k, o_t, 0, T)
    b_k = load_rows(p_k, s_kt, m_k, o_t, 0, T)
    b_dq = tl.zeros_like(b_q)
    b_dk = tl.zeros_like(b_q)
    o_out = i_b * T * H * K + i_h * K
    if HAS_FWD:
        p_gf = head_columns(p_gf, i_b, i_h, s_gfb, s_gfh, s_gfd, 0, BK, ALIGNED)
        b_sum = gate_sums(earlier(), p_gf, s_gft, m_k, o_t, T, NORM, False)
        b_dqf, b_dkf, b_dg = direction_gradients(
            b_q, b_k, b_sum, p_h, p_dh, p_h + K * V, i_n + 1 < N, p_decay,
            p_v, s_vt, s_vd, p_do, s_dot, s_dod, m_k, o_t, T, K, V, BV, ALIGNED, False, PRECISION,
        )  # fmt: skip
        b_dg = to_logits(b_dg * factor, p_gf, s_gft, m_k, o_t, T, NORM)
        store_rows(p_dgf + o_out, H * K, m_k, b_dg, o_t, T)
        b_dq += b_dqf
        b_dk += b_dkf
    if HAS_BWD:
        p_gb = head_columns(p_gb, i_b, i_h, s_gbb, s_gbh, s_gbd, 0, BK, ALIGNED)
        b_sum = gate_sums(earlier(), p_gb, s_gbt, m_k, o_t, T, NORM, True)
        p_h += of_bwd * K * V
        b_dqb, b_dkb, b_dg = direction_gradients(
            b_q, b_k, b_sum, p_h, p_dh + of_bwd * K * V, p_h - K * V, i_n > 0,
            p_decay + of_bwd * K,
            p_v, s_vt, s_vd, p_do, s_dot, s_dod, m_k, o_t, T, K, V, BV, ALIGNED, True, PRECISION,
        )  # fmt: skip
        b_dg = to_logits(b_dg * factor, p_gb, s_gbt, m_k, o_t, T, NORM)
        store_rows(p_dgb + o_out, H * K, m_k, b_dg, o_t, T)
        b_dq += b_dqb
        b_dk += b_dkb
    store_rows(p_dq + o_out, H * K, m_k, b_dq * factor, o_t, T, ADD)
    store_rows(p_dk + o_out, H * K, m_k, b_dk * factor, o_t, T, ADD)
