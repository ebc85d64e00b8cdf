"""Triton kernels of the chunk states: each chunk's own contribution, and the scan over chunks."""

import triton
import triton.language as tl

from .tiles import border_decay, load_rows, total_decay


@triton.jit
def chunk_state(
    p_x, s_xt, s_xk, p_y, s_yt, s_yv, p_g, s_gt, s_gk, p_state, p_decay,
    i_n, T, o_k, o_v, K: tl.constexpr, V: tl.constexpr, NS: tl.constexpr, BC: tl.constexpr,
    NORM: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr, TO_END: tl.constexpr, OWN: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Σ_t (decay_t ⊙ x_t)ᵀ y_t over a chunk, decays to its end or start; and the chunk's decay."""
    b_h = tl.zeros([BK, BV], dtype=tl.float32)
    b_past = tl.full([BK], 1.0, dtype=tl.float32)
    # Known only at run time, the loop stays a loop: unrolled, it would spill.
    present = tl.minimum(tl.cdiv(T, BC) - i_n * NS, NS).to(tl.int32)
    for i_s in range(0, present):
        t_0 = (i_n * NS + i_s) * BC
        o_t = t_0 + tl.arange(0, BC)
        b_x = load_rows(p_x, o_t, 0, T, s_xt, o_k, s_xk, K)
        b_x *= border_decay(p_g, t_0, T, s_gt, o_k, s_gk, K, BC, NORM, TO_END, OWN)
        b_y = load_rows(p_y, o_t, 0, T, s_yt, o_v, s_yv, V)
        b_total = total_decay(p_g, t_0, T, s_gt, o_k, s_gk, K, BC, NORM)
        if TO_END:
            b_h *= b_total[:, None]
        else:
            b_x *= b_past[None, :]
        b_h += tl.dot(tl.trans(b_x), b_y, input_precision=PRECISION)
        b_past *= b_total
    m_h = (o_k < K)[:, None] & (o_v < V)[None, :]
    tl.store(p_state + o_k[:, None] * V + o_v[None, :], b_h, mask=m_h)
    tl.store(p_decay + o_k, b_past, mask=o_k < K)


@triton.jit(do_not_specialize=[
    'T', 'N', 'B', 'H', 's_xb', 's_xt', 's_xh', 's_xk', 's_yb', 's_yt', 's_yh', 's_yv',
    's_fb', 's_ft', 's_fh', 's_fk', 's_bb', 's_bt', 's_bh', 's_bk',
])  # fmt: skip
def bi_gla_kernel_state(
    p_x, p_y, p_gf, p_gb, p_state, p_decay,
    s_xb: tl.int64, s_xt: tl.int64, s_xh: tl.int64, s_xk: tl.int64,
    s_yb: tl.int64, s_yt: tl.int64, s_yh: tl.int64, s_yv: tl.int64,
    s_fb: tl.int64, s_ft: tl.int64, s_fh: tl.int64, s_fk: tl.int64,
    s_bb: tl.int64, s_bt: tl.int64, s_bh: tl.int64, s_bk: tl.int64,
    T: tl.int64, N: tl.int64, B: tl.int64,
    H: tl.int64, K: tl.constexpr, V: tl.constexpr, NS: tl.constexpr, BC: tl.constexpr,
    NORM: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, OF_KEYS: tl.constexpr, UNIT: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Own states [2, B, H, N, K, V] and decays [2, B, H, N, K] of every chunk and direction.

    x and y are keys and values (equation 5), or queries and output gradients (equation 8), whose
    decays point the other way. Grid: (N, ceil(V / BV), B · H).
    """
    i_n = tl.program_id(0).to(tl.int64)
    o_v = tl.program_id(1) * BV + tl.arange(0, BV)
    i_bh = tl.program_id(2).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    o_k = tl.arange(0, BK)
    s_xk, s_yv = 1 if UNIT else s_xk, 1 if UNIT else s_yv
    s_fk, s_bk = 1 if UNIT else s_fk, 1 if UNIT else s_bk
    p_x += i_b * s_xb + i_h * s_xh
    p_y += i_b * s_yb + i_h * s_yh
    i_out = i_bh * N + i_n
    if HAS_FWD:
        chunk_state(
            p_x, s_xt, s_xk, p_y, s_yt, s_yv, p_gf + i_b * s_fb + i_h * s_fh, s_ft, s_fk,
            p_state + i_out * K * V, p_decay + i_out * K, i_n, T, o_k, o_v,
            K, V, NS, BC, NORM, BK, BV, OF_KEYS, not OF_KEYS, PRECISION,
        )  # fmt: skip
    if HAS_BWD:
        i_out += B * H * N
        chunk_state(
            p_x, s_xt, s_xk, p_y, s_yt, s_yv, p_gb + i_b * s_bb + i_h * s_bh, s_bt, s_bk,
            p_state + i_out * K * V, p_decay + i_out * K, i_n, T, o_k, o_v,
            K, V, NS, BC, NORM, BK, BV, not OF_KEYS, not OF_KEYS, PRECISION,
        )  # fmt: skip


@triton.jit
def after(b_a1, b_u1, b_a2, b_u2):
    """Two steps of h ← a h + u as one."""
    return b_a1 * b_a2, b_a2 * b_u1 + b_u2


@triton.jit(do_not_specialize=['N', 'rows'])
def bi_gla_kernel_scan(
    p_state, p_decay, p_entering, N: tl.int64, rows: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BN: tl.constexpr, BE: tl.constexpr,
    HAS_FWD: tl.constexpr, OF_KEYS: tl.constexpr,
):  # fmt: skip
    """Own states to the states that enter each chunk (equation 5; 8 for gradients).

    Forward states of keys run from the first chunk to the last, backward ones from the last to the
    first, and gradients against them. Tiles of BN chunks are scanned in parallel, one after the
    other. Grid: (ceil(K · V / BE), directions · B · H), `rows` = B · H.
    """
    o_e = tl.program_id(0) * BE + tl.arange(0, BE)
    i_row = tl.program_id(1).to(tl.int64)
    if not HAS_FWD:
        i_row += rows
    falls = (i_row < rows) != OF_KEYS
    p_state += i_row * N * K * V
    p_entering += i_row * N * K * V
    p_decay += i_row * N * K
    o_r = tl.arange(0, BN)
    b_carry = tl.zeros([BE], dtype=tl.float32)
    m_e = o_e < K * V
    first = tl.where(falls, N - 1, 0)
    tl.store(p_entering + first * K * V + o_e, b_carry, mask=m_e)
    for n_0 in range(0, N, BN):
        o_n = n_0 + o_r
        o_i = tl.where(falls, N - 1 - o_n, o_n)
        m_n = (o_n < N)[:, None] & m_e[None, :]
        # a block of BN by BE
        b_u = tl.load(p_state + o_i[:, None] * K * V + o_e[None, :], mask=m_n, other=0.0)
        b_a = tl.load(p_decay + o_i[:, None] * K + (o_e // V)[None, :], mask=m_n, other=1.0)
        b_a, b_u = tl.associative_scan((b_a, b_u), 0, after)
        b_h = b_a * b_carry[None, :] + b_u
        o_next = tl.where(falls, o_i - 1, o_i + 1)
        m_next = (o_n + 1 < N)[:, None] & m_e[None, :]
        tl.store(p_entering + o_next[:, None] * K * V + o_e[None, :], b_h, mask=m_next)
        b_carry = tl.sum(tl.where((o_r == BN - 1)[:, None], b_h, 0.0), 0)
