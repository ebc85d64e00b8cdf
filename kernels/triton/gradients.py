"""Triton kernel of the gradients."""

import triton
import triton.language as tl

from .state import state_before
from .tiles import (
    BC,
    NS,
    OPEN_GRADIENTS,
    add_scores,
    add_up,
    decay_to_border,
    decay_to_edge,
    head_columns,
    least_decay,
    levels,
    lies_to_border,
    lies_to_edge,
    load_gates,
    load_rows,
    own_scores,
    reads,
    store_rows,
    strides,
    total_decay,
)


@triton.jit
def value_gradients(
    b_dq, b_dk, b_dv, b_through, p_h, p_dh,
    p_q, s_q, p_k, s_k, p_v, s_v, p_do, s_do, p_g, s_g, m_k, m_v, i_s, T,
    NORM: tl.constexpr, REVERSE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add what one direction gives for a tile of values.

    Its states S and their gradients dS: to the gradients of the decayed queries and keys [BC, BK],
    to that of v [BC, BV], and to Σ_v S ⊙ dS [BK], which is what passes the whole sub-chunk
    (equations 9 and 10). Its scores: to the gradient of v.
    """
    # The walks come first, while few registers are taken.
    b_h = state_before(
        p_h, p_k, s_k, p_v, s_v, p_g, s_g, m_k, m_v, i_s, T, NORM, not REVERSE, False, PRECISION
    )
    b_dh = state_before(
        p_dh, p_q, s_q, p_do, s_do, p_g, s_g, m_k, m_v, i_s, T, NORM, REVERSE, True, PRECISION
    )
    t_0 = i_s * BC
    o_t = t_0 + tl.arange(0, BC)
    b_through += tl.sum(b_h * b_dh, 1)
    b_v = load_rows(p_v, s_v, m_v, o_t, 0, T)
    b_dk += tl.dot(b_v, tl.trans(b_dh), input_precision=PRECISION)
    b_k = load_rows(p_k, s_k, m_k, o_t, 0, T)
    b_g = load_gates(p_g, s_g, m_k, t_0, T, NORM)
    b_ke = b_k * decay_to_edge(b_g, not REVERSE, False, PRECISION)
    b_dv += tl.dot(b_ke, b_dh, input_precision=PRECISION)
    b_do = load_rows(p_do, s_do, m_v, o_t, 0, T)
    b_dq += tl.dot(b_do, tl.trans(b_h), input_precision=PRECISION)
    b_q = load_rows(p_q, s_q, m_k, o_t, 0, T)
    b_scores = add_scores(own_scores(b_q, b_k, 1), b_q, b_k, b_g, t_0, T, REVERSE, PRECISION)
    b_dv += tl.dot(tl.trans(b_scores), b_do, input_precision=PRECISION)
    return b_dq, b_dk, b_dv, b_through


@triton.jit
def pair_gradients(
    b_q, b_k, b_g, b_ds, b_dq, b_dk, b_dg, t_0, T, REVERSE: tl.constexpr, PRECISION: tl.constexpr
):
    """Add the gradients of q, k and the gates from one direction's scores, [BC, BK].

    Of each halving, decayed queries and keys on either side of a border; what passes a gate is the
    sum of x ⊙ dx over the tokens that it lies between and the border. A difference of large sums
    never occurs.
    """
    o_r = tl.arange(0, BC)
    for level in range(0, levels(t_0, T)):
        b_e = decay_to_border(b_g, level, REVERSE, PRECISION)
        m_s = reads(o_r[:, None], o_r[None, :], level, REVERSE)
        b_s = tl.where(m_s, b_ds, 0.0)
        b_dqe = tl.dot(b_s, b_k * b_e, input_precision=PRECISION) * b_e
        b_dke = tl.dot(tl.trans(b_s), b_q * b_e, input_precision=PRECISION) * b_e
        m_between = lies_to_border(o_r[None, :], o_r[:, None], level, REVERSE)
        b_dg += add_up(m_between, b_q * b_dqe + b_k * b_dke, PRECISION)
        b_dq += b_dqe
        b_dk += b_dke
    return b_dq, b_dk, b_dg


@triton.jit
def to_logits(b_dg, p_g, s_g, m_k, o_t, T, NORM: tl.constexpr):
    """The gradient of a gate as that of the logits it comes from, if it does."""
    if NORM != 0.0:
        b_dg *= tl.sigmoid(-load_rows(p_g, s_g, m_k, o_t, 0, T)) / NORM
    return b_dg


@triton.jit
def direction_gradients(
    b_q, b_k, b_g, b_ds, b_dq, b_dk, b_through, t_0, T,
    REVERSE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One direction's gradients of q, k and its gates, [BC, BK], without the factor.

    `b_dq`, `b_dk` and `b_through` are what `value_gradients` summed over all values. A gate
    (equation 11) passes on what queries at and past it read from outside, what is read outside of
    keys before it, what passes the whole sub-chunk, and what pairs inside give.
    """
    o_r = tl.arange(0, BC)
    b_dq *= decay_to_edge(b_g, REVERSE, True, PRECISION)
    b_dk *= decay_to_edge(b_g, not REVERSE, False, PRECISION)
    m_queries = lies_to_edge(o_r[None, :], o_r[:, None], REVERSE, True)
    m_keys = lies_to_edge(o_r[None, :], o_r[:, None], not REVERSE, False)
    b_dg = add_up(m_queries, b_q * b_dq, PRECISION) + add_up(m_keys, b_k * b_dk, PRECISION)
    b_dg += (b_through * total_decay(b_g))[None, :]
    return pair_gradients(b_q, b_k, b_g, b_ds, b_dq, b_dk, b_dg, t_0, T, REVERSE, PRECISION)


@triton.jit(
    do_not_specialize=['T', 'N', 'B', 'H', 'factor', *strides('q', 'k', 'v', 'gf', 'gb', 'do')]
)
def bi_gla_kernel_gradients(
    p_q, p_k, p_v, p_gf, p_gb, p_do, p_entering, p_leaving, p_decay, p_dq, p_dk, p_dv, p_dgf, p_dgb,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qd: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kd: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vd: tl.int64,
    s_gfb: tl.int64, s_gft: tl.int64, s_gfh: tl.int64, s_gfd: tl.int64,
    s_gbb: tl.int64, s_gbt: tl.int64, s_gbh: tl.int64, s_gbd: tl.int64,
    s_dob: tl.int64, s_dot: tl.int64, s_doh: tl.int64, s_dod: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64, H: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr, NORM: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, ALIGNED: tl.constexpr, ADD: tl.constexpr,
    BOTH: tl.constexpr, REST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of one sub-chunk and head. Grid: (ceil(T / BC), B · H).

    `p_entering` holds the states that enter each chunk, `p_leaving` the gradients of those that
    leave it, without the factor on the output, which is applied here. With ADD, dq, dk and dv are
    added to what another launch, of the other direction, wrote. BOTH says that there is another.
    REST leaves open chunks to the kernels of open.py and open_gradients.py.
    """
    i_s = tl.program_id(0).to(tl.int64)
    i_bh = tl.program_id(1).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    t_0 = i_s * BC
    o_r = tl.arange(0, BC)
    o_t = t_0 + o_r
    o_k = tl.arange(0, BK)
    m_k = o_k < K
    if REST:
        p_decay += (i_bh * N + i_s // NS) * K
        if (
            least_decay(p_decay, B * H * N * K, m_k, HAS_FWD or BOTH, HAS_BWD or BOTH)
            >= OPEN_GRADIENTS
        ):
            return
    p_entering += (i_bh * N + i_s // NS) * K * V
    p_leaving += (i_bh * N + i_s // NS) * K * V
    of_bwd = B * H * N * K * V
    p_q = head_columns(p_q, i_b, i_h, s_qb, s_qh, s_qd, 0, BK, ALIGNED)
    p_k = head_columns(p_k, i_b, i_h, s_kb, s_kh, s_kd, 0, BK, ALIGNED)

    if HAS_FWD:
        p_gf = head_columns(p_gf, i_b, i_h, s_gfb, s_gfh, s_gfd, 0, BK, ALIGNED)
        b_dqf = tl.zeros([BC, BK], dtype=tl.float32)
        b_dkf = tl.zeros([BC, BK], dtype=tl.float32)
        b_throughf = tl.zeros([BK], dtype=tl.float32)
    if HAS_BWD:
        p_gb = head_columns(p_gb, i_b, i_h, s_gbb, s_gbh, s_gbd, 0, BK, ALIGNED)
        b_dqb = tl.zeros([BC, BK], dtype=tl.float32)
        b_dkb = tl.zeros([BC, BK], dtype=tl.float32)
        b_throughb = tl.zeros([BK], dtype=tl.float32)
    b_ds = tl.zeros([BC, BC], dtype=tl.float32)
    for i_v in range(0, tl.cdiv(V, BV)):
        v_0 = i_v * BV
        o_v = v_0 + tl.arange(0, BV)
        m_v = o_v < V
        p_vi = head_columns(p_v, i_b, i_h, s_vb, s_vh, s_vd, v_0, BV, ALIGNED)
        p_doi = head_columns(p_do, i_b, i_h, s_dob, s_doh, s_dod, v_0, BV, ALIGNED)
        o_h = o_k[:, None] * V + o_v[None, :]
        b_dv = tl.zeros([BC, BV], dtype=tl.float32)
        if HAS_FWD:
            b_dqf, b_dkf, b_dv, b_throughf = value_gradients(
                b_dqf, b_dkf, b_dv, b_throughf,
                p_entering + o_h, p_leaving + o_h,
                p_q, s_qt, p_k, s_kt, p_vi, s_vt, p_doi, s_dot, p_gf, s_gft, m_k, m_v, i_s, T,
                NORM, False, PRECISION,
            )  # fmt: skip
        if HAS_BWD:
            b_dqb, b_dkb, b_dv, b_throughb = value_gradients(
                b_dqb, b_dkb, b_dv, b_throughb,
                p_entering + of_bwd + o_h, p_leaving + of_bwd + o_h,
                p_q, s_qt, p_k, s_kt, p_vi, s_vt, p_doi, s_dot, p_gb, s_gbt, m_k, m_v, i_s, T,
                NORM, True, PRECISION,
            )  # fmt: skip
        b_do = load_rows(p_doi, s_dot, m_v, o_t, 0, T)
        b_v = load_rows(p_vi, s_vt, m_v, o_t, 0, T)
        b_ds += tl.dot(b_do, tl.trans(b_v), input_precision=PRECISION)
        p_dvi = p_dv + i_b * T * H * V + i_h * V + v_0
        store_rows(p_dvi, H * V, m_v, b_dv * factor, o_t, T, ADD)

    b_q = load_rows(p_q, s_qt, m_k, o_t, 0, T)
    b_k = load_rows(p_k, s_kt, m_k, o_t, 0, T)
    b_self = tl.sum(tl.where(o_r[:, None] == o_r[None, :], b_ds, 0.0), 1)[:, None]
    b_self *= HAS_FWD + HAS_BWD
    b_dq = b_self * b_k
    b_dk = b_self * b_q
    o_out = i_b * T * H * K + i_h * K
    if HAS_FWD:
        b_gf = load_gates(p_gf, s_gft, m_k, t_0, T, NORM)
        b_dqf, b_dkf, b_dg = direction_gradients(
            b_q, b_k, b_gf, b_ds, b_dqf, b_dkf, b_throughf, t_0, T, False, PRECISION
        )  # fmt: skip
        b_dg = to_logits(b_dg * factor, p_gf, s_gft, m_k, o_t, T, NORM)
        store_rows(p_dgf + o_out, H * K, m_k, b_dg, o_t, T)
        b_dq += b_dqf
        b_dk += b_dkf
    if HAS_BWD:
        b_gb = load_gates(p_gb, s_gbt, m_k, t_0, T, NORM)
        b_dqb, b_dkb, b_dg = direction_gradients(
            b_q, b_k, b_gb, b_ds, b_dqb, b_dkb, b_throughb, t_0, T, True, PRECISION
        )  # fmt: skip
        b_dg = to_logits(b_dg * factor, p_gb, s_gbt, m_k, o_t, T, NORM)
        store_rows(p_dgb + o_out, H * K, m_k, b_dg, o_t, T)
        b_dq += b_dqb
        b_dk += b_dkb
    store_rows(p_dq + o_out, H * K, m_k, b_dq * factor, o_t, T, ADD)
    store_rows(p_dk + o_out, H * K, m_k, b_dk * factor, o_t, T, ADD)
