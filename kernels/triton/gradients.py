"""Triton kernel of the gradients."""

import triton
import triton.language as tl

from .output import entering, pass_sub_chunk
from .tiles import (
    border_decay,
    load_rows,
    load_vector,
    own_rows,
    own_scores,
    pair_decay,
    store_rows,
    total_decay,
)


@triton.jit
def own_gradients(b_q, b_ds, p_k, p_g, t_0, T, s_kt, s_kk, s_gt, s_gk, o_k,
                  K: tl.constexpr, BC: tl.constexpr, NORM: tl.constexpr, BK: tl.constexpr,
                  REVERSE: tl.constexpr):  # fmt: skip
    """Gradients of q, k and the gates from one direction's scores inside a sub-chunk.

    A token's score with itself has no gate and is left out. A gate takes from each key that lies on
    its one side the sum over the queries on its other side: terms of its own pairs, no difference.
    """
    o_r = tl.arange(0, BC)
    b_e = tl.zeros([BC, BK], dtype=tl.float32)
    b_dq = tl.zeros([BC, BK], dtype=tl.float32)
    b_dk = tl.zeros([BC, BK], dtype=tl.float32)
    b_dg = tl.zeros([BC, BK], dtype=tl.float32)
    rows = own_rows(t_0, T, BC)
    for i in range(0, rows):
        i_j = i if REVERSE else rows - 1 - i
        b_e = pair_decay(b_e, p_g, i_j, t_0, T, s_gt, o_k, s_gk, K, BC, NORM, REVERSE)
        b_k = load_vector(p_k, t_0 + i_j, T, s_kt, o_k, s_kk, K)
        b_w = tl.sum(tl.where((o_r == i_j)[None, :], b_ds, 0.0), 1)
        b_we = tl.where(o_r == i_j, 0.0, b_w)[:, None] * b_e
        b_dq += b_we * b_k[None, :]
        b_wq = b_we * b_q
        b_dk += tl.where((o_r == i_j)[:, None], tl.sum(b_wq, 0)[None, :], 0.0)
        past = o_r < i_j if REVERSE else o_r > i_j
        b_through = tl.cumsum(b_wq, 0, reverse=not REVERSE) * b_k[None, :]
        b_dg += tl.where(past[:, None], b_through, 0.0)
    return b_dq, b_dk, b_dg


@triton.jit
def to_logits(b_dg, p_g, o_t, T, s_t, o_k, s_k, K: tl.constexpr, NORM: tl.constexpr):
    """The gradient of a gate as that of the logits it comes from, if it does."""
    if NORM != 0.0:
        b_dg *= tl.sigmoid(-load_rows(p_g, o_t, 0, T, s_t, o_k, s_k, K)) / NORM
    return b_dg


@triton.jit
def gate_gradient(b_pq, b_pk, b_through, b_own, REVERSE: tl.constexpr):
    """Equation (11): what passes a gate, from the products x ⊙ dx of a sub-chunk.

    A gate lies between its own token and the one its direction came from. Queries at and past it
    read through it from outside, keys before it are read from outside, `b_through` passes the whole
    sub-chunk, and `b_own` is what pairs inside give.
    """
    o_r = tl.arange(0, b_pk.shape[0])
    before = o_r[:, None] < o_r[None, :] if REVERSE else o_r[:, None] > o_r[None, :]
    # Not a running sum less its last term: that would be a difference of large numbers.
    b_keys = tl.dot(before.to(tl.float32), b_pk, input_precision='ieee')
    b_queries = tl.cumsum(b_pq, 0, reverse=not REVERSE)
    return b_queries + b_keys + b_through[None, :] + b_own


@triton.jit(do_not_specialize=[
    'T', 'N', 'B', 'H', 'factor', 's_qb', 's_qt', 's_qh', 's_qk', 's_kb', 's_kt', 's_kh', 's_kk',
    's_vb', 's_vt', 's_vh', 's_vv', 's_fb', 's_ft', 's_fh', 's_fk', 's_bb', 's_bt', 's_bh', 's_bk',
    's_ob', 's_ot', 's_oh', 's_ov',
])  # fmt: skip
def bi_gla_kernel_gradients(
    p_q, p_k, p_v, p_gf, p_gb, p_do, p_entering, p_leaving, p_dq, p_dk, p_dv, p_dgf, p_dgb,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qk: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kk: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vv: tl.int64,
    s_fb: tl.int64, s_ft: tl.int64, s_fh: tl.int64, s_fk: tl.int64,
    s_bb: tl.int64, s_bt: tl.int64, s_bh: tl.int64, s_bk: tl.int64,
    s_ob: tl.int64, s_ot: tl.int64, s_oh: tl.int64, s_ov: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64,
    H: tl.int64, K: tl.constexpr, V: tl.constexpr, NS: tl.constexpr, BC: tl.constexpr,
    NORM: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, UNIT: tl.constexpr, ADD: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of one sub-chunk and head. Grid: (ceil(T / BC), B · H).

    `p_entering` holds the states that enter each chunk, `p_leaving` the gradients of those that
    leave it, without the factor on the output, which is applied here. With ADD, dq, dk and dv are
    added to what another launch, of the other direction, wrote.
    """
    i_s = tl.program_id(0).to(tl.int64)
    i_bh = tl.program_id(1).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    i_n = i_s // NS
    t_0 = i_s * BC
    o_t = t_0 + tl.arange(0, BC)
    o_r = tl.arange(0, BC)
    o_k = tl.arange(0, BK)
    s_qk, s_kk, s_vv = 1 if UNIT else s_qk, 1 if UNIT else s_kk, 1 if UNIT else s_vv
    s_fk, s_bk, s_ov = 1 if UNIT else s_fk, 1 if UNIT else s_bk, 1 if UNIT else s_ov
    p_q += i_b * s_qb + i_h * s_qh
    p_k += i_b * s_kb + i_h * s_kh
    p_v += i_b * s_vb + i_h * s_vh
    p_do += i_b * s_ob + i_h * s_oh
    out_k = i_b * T * H * K + i_h * K
    out_v = i_b * T * H * V + i_h * V

    b_q = load_rows(p_q, o_t, 0, T, s_qt, o_k, s_qk, K)
    b_k = load_rows(p_k, o_t, 0, T, s_kt, o_k, s_kk, K)
    b_scores = tl.zeros([BC, BC], dtype=tl.float32)
    if HAS_FWD:
        p_gf += i_b * s_fb + i_h * s_fh
        b_dqf = tl.zeros([BC, BK], dtype=tl.float32)
        b_dkf = tl.zeros([BC, BK], dtype=tl.float32)
        b_throughf = tl.zeros([BK], dtype=tl.float32)
        b_scores = own_scores(
            b_q, p_k, p_gf, b_scores, t_0, T, s_kt, s_kk, s_ft, s_fk, o_k, K, BC, NORM, BK, False
        )
    if HAS_BWD:
        p_gb += i_b * s_bb + i_h * s_bh
        b_dqb = tl.zeros([BC, BK], dtype=tl.float32)
        b_dkb = tl.zeros([BC, BK], dtype=tl.float32)
        b_throughb = tl.zeros([BK], dtype=tl.float32)
        b_scores = own_scores(
            b_q, p_k, p_gb, b_scores, t_0, T, s_kt, s_kk, s_bt, s_bk, o_k, K, BC, NORM, BK, True
        )

    b_ds = tl.zeros([BC, BC], dtype=tl.float32)
    first = i_n * NS
    last = tl.minimum(first + NS, tl.cdiv(T, BC)) - 1
    for i_v in range(0, tl.cdiv(V, BV)):
        o_v = i_v * BV + tl.arange(0, BV)
        b_v = load_rows(p_v, o_t, 0, T, s_vt, o_v, s_vv, V)
        b_do = load_rows(p_do, o_t, 0, T, s_ot, o_v, s_ov, V)
        b_ds += tl.dot(b_do, tl.trans(b_v), input_precision=PRECISION)
        b_dv = tl.dot(tl.trans(b_scores), b_do, input_precision=PRECISION)
        if HAS_FWD:
            b_h = entering(p_entering, i_bh, i_n, N, o_k, o_v, K, V)
            for i_j in range(first, i_s):
                b_h = pass_sub_chunk(
                    b_h, p_k, s_kt, s_kk, p_v, s_vt, s_vv, p_gf, s_ft, s_fk, i_j * BC, T, o_k,
                    o_v, K, V, BC, NORM, True, False, PRECISION,
                )  # fmt: skip
            b_dh = entering(p_leaving, i_bh, i_n, N, o_k, o_v, K, V)
            for i_d in range(0, last - i_s):
                b_dh = pass_sub_chunk(
                    b_dh, p_q, s_qt, s_qk, p_do, s_ot, s_ov, p_gf, s_ft, s_fk, (last - i_d) * BC,
                    T, o_k, o_v, K, V, BC, NORM, False, True, PRECISION,
                )  # fmt: skip
            b_dqf += tl.dot(b_do, tl.trans(b_h), input_precision=PRECISION)
            b_dkf += tl.dot(b_v, tl.trans(b_dh), input_precision=PRECISION)
            b_ke = b_k * border_decay(p_gf, t_0, T, s_ft, o_k, s_fk, K, BC, NORM, True, False)
            b_dv += tl.dot(b_ke, b_dh, input_precision=PRECISION)
            b_throughf += tl.sum(b_h * b_dh, 1)
        if HAS_BWD:
            b_h = entering(p_entering, B * H + i_bh, i_n, N, o_k, o_v, K, V)
            for i_d in range(0, last - i_s):
                b_h = pass_sub_chunk(
                    b_h, p_k, s_kt, s_kk, p_v, s_vt, s_vv, p_gb, s_bt, s_bk, (last - i_d) * BC, T,
                    o_k, o_v, K, V, BC, NORM, False, False, PRECISION,
                )  # fmt: skip
            b_dh = entering(p_leaving, B * H + i_bh, i_n, N, o_k, o_v, K, V)
            for i_j in range(first, i_s):
                b_dh = pass_sub_chunk(
                    b_dh, p_q, s_qt, s_qk, p_do, s_ot, s_ov, p_gb, s_bt, s_bk, i_j * BC, T, o_k,
                    o_v, K, V, BC, NORM, True, True, PRECISION,
                )  # fmt: skip
            b_dqb += tl.dot(b_do, tl.trans(b_h), input_precision=PRECISION)
            b_dkb += tl.dot(b_v, tl.trans(b_dh), input_precision=PRECISION)
            b_ke = b_k * border_decay(p_gb, t_0, T, s_bt, o_k, s_bk, K, BC, NORM, False, False)
            b_dv += tl.dot(b_ke, b_dh, input_precision=PRECISION)
            b_throughb += tl.sum(b_h * b_dh, 1)
        store_rows(p_dv + out_v, b_dv * factor, o_t, T, H * V, o_v, 1, V, ADD)

    b_own = tl.sum(tl.where(o_r[:, None] == o_r[None, :], b_ds, 0.0), 1)[:, None]
    b_own *= HAS_FWD + HAS_BWD
    b_dq = b_own * b_k
    b_dk = b_own * b_q
    if HAS_FWD:
        b_dqf *= border_decay(p_gf, t_0, T, s_ft, o_k, s_fk, K, BC, NORM, False, True)
        b_dkf *= border_decay(p_gf, t_0, T, s_ft, o_k, s_fk, K, BC, NORM, True, False)
        b_dqi, b_dki, b_own_g = own_gradients(
            b_q, b_ds, p_k, p_gf, t_0, T, s_kt, s_kk, s_ft, s_fk, o_k, K, BC, NORM, BK, False
        )
        b_throughf *= total_decay(p_gf, t_0, T, s_ft, o_k, s_fk, K, BC, NORM)
        b_dg = gate_gradient(b_q * b_dqf, b_k * b_dkf, b_throughf, b_own_g, False)
        b_dg = to_logits(b_dg * factor, p_gf, o_t, T, s_ft, o_k, s_fk, K, NORM)
        store_rows(p_dgf + out_k, b_dg, o_t, T, H * K, o_k, 1, K)
        b_dq += b_dqf + b_dqi
        b_dk += b_dkf + b_dki
    if HAS_BWD:
        b_dqb *= border_decay(p_gb, t_0, T, s_bt, o_k, s_bk, K, BC, NORM, True, True)
        b_dkb *= border_decay(p_gb, t_0, T, s_bt, o_k, s_bk, K, BC, NORM, False, False)
        b_dqi, b_dki, b_own_g = own_gradients(
            b_q, b_ds, p_k, p_gb, t_0, T, s_kt, s_kk, s_bt, s_bk, o_k, K, BC, NORM, BK, True
        )
        b_throughb *= total_decay(p_gb, t_0, T, s_bt, o_k, s_bk, K, BC, NORM)
        b_dg = gate_gradient(b_q * b_dqb, b_k * b_dkb, b_throughb, b_own_g, True)
        b_dg = to_logits(b_dg * factor, p_gb, o_t, T, s_bt, o_k, s_bk, K, NORM)
        store_rows(p_dgb + out_k, b_dg, o_t, T, H * K, o_k, 1, K)
        b_dq += b_dqb + b_dqi
        b_dk += b_dkb + b_dki
    store_rows(p_dq + out_k, b_dq * factor, o_t, T, H * K, o_k, 1, K, ADD)
    store_rows(p_dk + out_k, b_dk * factor, o_t, T, H * K, o_k, 1, K, ADD)
