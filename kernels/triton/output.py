"""Triton kernel of the output."""

import triton
import triton.language as tl

from .tiles import border_decay, load_rows, own_scores, store_rows, total_decay


@triton.jit
def entering(p_entering, i_row, i_n, N, o_k, o_v, K: tl.constexpr, V: tl.constexpr):
    """The state that the scan left for a chunk, [BK, BV]."""
    m_h = (o_k < K)[:, None] & (o_v < V)[None, :]
    p_h = p_entering + (i_row * N + i_n) * K * V
    return tl.load(p_h + o_k[:, None] * V + o_v[None, :], mask=m_h, other=0.0)


@triton.jit
def pass_sub_chunk(b_h, p_x, s_xt, s_xk, p_y, s_yt, s_yv, p_g, s_gt, s_gk, t_0, T, o_k, o_v,
                   K: tl.constexpr, V: tl.constexpr, BC: tl.constexpr, NORM: tl.constexpr,
                   TO_END: tl.constexpr, OWN: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """The state on the far side of a sub-chunk, given the one that enters it."""
    o_t = t_0 + tl.arange(0, BC)
    b_x = load_rows(p_x, o_t, 0, T, s_xt, o_k, s_xk, K)
    b_x *= border_decay(p_g, t_0, T, s_gt, o_k, s_gk, K, BC, NORM, TO_END, OWN)
    b_y = load_rows(p_y, o_t, 0, T, s_yt, o_v, s_yv, V)
    b_h *= total_decay(p_g, t_0, T, s_gt, o_k, s_gk, K, BC, NORM)[:, None]
    return b_h + tl.dot(tl.trans(b_x), b_y, input_precision=PRECISION)


@triton.jit(do_not_specialize=[
    'T', 'N', 'B', 'H', 'factor', 's_qb', 's_qt', 's_qh', 's_qk', 's_kb', 's_kt', 's_kh', 's_kk',
    's_vb', 's_vt', 's_vh', 's_vv', 's_fb', 's_ft', 's_fh', 's_fk', 's_bb', 's_bt', 's_bh', 's_bk',
])  # fmt: skip
def bi_gla_kernel_output(
    p_q, p_k, p_v, p_gf, p_gb, p_entering, p_o,
    s_qb: tl.int64, s_qt: tl.int64, s_qh: tl.int64, s_qk: tl.int64,
    s_kb: tl.int64, s_kt: tl.int64, s_kh: tl.int64, s_kk: tl.int64,
    s_vb: tl.int64, s_vt: tl.int64, s_vh: tl.int64, s_vv: tl.int64,
    s_fb: tl.int64, s_ft: tl.int64, s_fh: tl.int64, s_fk: tl.int64,
    s_bb: tl.int64, s_bt: tl.int64, s_bh: tl.int64, s_bk: tl.int64,
    factor: tl.float32, T: tl.int64, N: tl.int64, B: tl.int64,
    H: tl.int64, K: tl.constexpr, V: tl.constexpr, NS: tl.constexpr, BC: tl.constexpr,
    NORM: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """o [B, T, H, V] of one sub-chunk and head (equation 4). Grid: (ceil(T / BC), B · H)."""
    i_s = tl.program_id(0).to(tl.int64)
    i_bh = tl.program_id(1).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    i_n = i_s // NS
    t_0 = i_s * BC
    o_t = t_0 + tl.arange(0, BC)
    o_k = tl.arange(0, BK)
    s_qk, s_kk, s_vv = 1 if UNIT else s_qk, 1 if UNIT else s_kk, 1 if UNIT else s_vv
    s_fk, s_bk = 1 if UNIT else s_fk, 1 if UNIT else s_bk
    p_q += i_b * s_qb + i_h * s_qh
    p_k += i_b * s_kb + i_h * s_kh
    p_v += i_b * s_vb + i_h * s_vh
    p_o += i_b * T * H * V + i_h * V

    b_q = load_rows(p_q, o_t, 0, T, s_qt, o_k, s_qk, K)
    b_scores = tl.zeros([BC, BC], dtype=tl.float32)
    if HAS_FWD:
        p_gf += i_b * s_fb + i_h * s_fh
        b_scores = own_scores(
            b_q, p_k, p_gf, b_scores, t_0, T, s_kt, s_kk, s_ft, s_fk, o_k, K, BC, NORM, BK, False
        )
    if HAS_BWD:
        p_gb += i_b * s_bb + i_h * s_bh
        b_scores = own_scores(
            b_q, p_k, p_gb, b_scores, t_0, T, s_kt, s_kk, s_bt, s_bk, o_k, K, BC, NORM, BK, True
        )
    last = tl.minimum(i_n * NS + NS, tl.cdiv(T, BC)) - 1
    for i_v in range(0, tl.cdiv(V, BV)):
        o_v = i_v * BV + tl.arange(0, BV)
        b_v = load_rows(p_v, o_t, 0, T, s_vt, o_v, s_vv, V)
        b_o = tl.dot(b_scores, b_v, input_precision=PRECISION)
        if HAS_FWD:
            b_h = entering(p_entering, i_bh, i_n, N, o_k, o_v, K, V)
            for i_j in range(i_n * NS, i_s):
                b_h = pass_sub_chunk(
                    b_h, p_k, s_kt, s_kk, p_v, s_vt, s_vv, p_gf, s_ft, s_fk, i_j * BC, T, o_k,
                    o_v, K, V, BC, NORM, True, False, PRECISION,
                )  # fmt: skip
            b_qe = b_q * border_decay(p_gf, t_0, T, s_ft, o_k, s_fk, K, BC, NORM, False, True)
            b_o += tl.dot(b_qe, b_h, input_precision=PRECISION)
        if HAS_BWD:
            b_h = entering(p_entering, B * H + i_bh, i_n, N, o_k, o_v, K, V)
            for i_d in range(0, last - i_s):
                b_h = pass_sub_chunk(
                    b_h, p_k, s_kt, s_kk, p_v, s_vt, s_vv, p_gb, s_bt, s_bk, (last - i_d) * BC, T,
                    o_k, o_v, K, V, BC, NORM, False, False, PRECISION,
                )  # fmt: skip
            b_qe = b_q * border_decay(p_gb, t_0, T, s_bt, o_k, s_bk, K, BC, NORM, True, True)
            b_o += tl.dot(b_qe, b_h, input_precision=PRECISION)
        store_rows(p_o, b_o * factor, o_t, T, H * V, o_v, 1, V)
