"""Triton kernels of the chunk states: each chunk's own contribution, and the scan over chunks.

With what the other kernels need of states: the walk from a chunk's edge to one of its sub-chunks.
"""

import triton
import triton.language as tl

from .tiles import (
    BC,
    NS,
    decay_to_edge,
    head_columns,
    load_gates,
    load_rows,
    strides,
    total_decay,
)


@triton.jit
def chunk_state(
    p_x, s_x, p_y, s_y, p_g, s_g, m_k, m_v, i_n, T,
    NORM: tl.constexpr, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Σ_t (decay_t ⊙ x_t)ᵀ y_t over a chunk, decays to its end or start; and the chunk's decay."""
    b_h = tl.zeros([m_k.shape[0], m_v.shape[0]], dtype=tl.float32)
    b_decay = tl.full(m_k.shape, 1.0, dtype=tl.float32)
    # Known only at run time, the loop stays a loop: unrolled, it would spill.
    present = tl.minimum(tl.cdiv(T, BC) - i_n * NS, NS).to(tl.int32)
    for i_s in range(0, present):
        t_0 = (i_n * NS + i_s) * BC
        o_t = t_0 + tl.arange(0, BC)
        b_x = load_rows(p_x, s_x, m_k, o_t, 0, T)
        b_g = load_gates(p_g, s_g, m_k, t_0, T, NORM)
        b_x *= decay_to_edge(b_g, TO_END, INCLUSIVE, PRECISION)
        b_y = load_rows(p_y, s_y, m_v, o_t, 0, T)
        b_total = total_decay(b_g)
        if TO_END:
            b_h *= b_total[:, None]
        else:
            b_x *= b_decay[None, :]
        b_h += tl.dot(tl.trans(b_x), b_y, input_precision=PRECISION)
        b_decay *= b_total
    return b_h, b_decay


@triton.jit
def store_state(p_state, p_decay, i_out, b_h, b_decay, o_k, o_v, K: tl.constexpr, V: tl.constexpr):
    """Write the state and decay of chunk `i_out`, counted over directions, images and heads."""
    p_h = p_state + i_out * K * V + o_k[:, None] * V + o_v[None, :]
    tl.store(p_h, b_h, mask=(o_k < K)[:, None] & (o_v < V)[None, :])
    tl.store(p_decay + i_out * K + o_k, b_decay, mask=o_k < K)


@triton.jit(do_not_specialize=['T', 'N', 'B', 'H', *strides('x', 'y', 'gf', 'gb')])
def bi_gla_kernel_state(
    p_x, p_y, p_gf, p_gb, p_state, p_decay,
    s_xb: tl.int64, s_xt: tl.int64, s_xh: tl.int64, s_xd: tl.int64,
    s_yb: tl.int64, s_yt: tl.int64, s_yh: tl.int64, s_yd: tl.int64,
    s_gfb: tl.int64, s_gft: tl.int64, s_gfh: tl.int64, s_gfd: tl.int64,
    s_gbb: tl.int64, s_gbt: tl.int64, s_gbh: tl.int64, s_gbd: tl.int64,
    T: tl.int64, N: tl.int64, B: tl.int64, H: tl.int64, K: tl.constexpr, V: tl.constexpr,
    BK: tl.constexpr, BV: tl.constexpr, NORM: tl.constexpr,
    HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr, OF_KEYS: tl.constexpr, ALIGNED: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Own states [2, B, H, N, K, V] and decays [2, B, H, N, K] of every chunk and direction.

    x and y are keys and values (equation 5), or queries and output gradients (equation 8), whose
    decays point the other way. Grid: (N, ceil(V / BV), B · H).
    """
    i_n = tl.program_id(0).to(tl.int64)
    v_0 = tl.program_id(1) * BV
    i_bh = tl.program_id(2).to(tl.int64)
    i_b, i_h = i_bh // H, i_bh % H
    o_k = tl.arange(0, BK)
    o_v = v_0 + tl.arange(0, BV)
    m_k, m_v = o_k < K, o_v < V
    p_x = head_columns(p_x, i_b, i_h, s_xb, s_xh, s_xd, 0, BK, ALIGNED)
    p_y = head_columns(p_y, i_b, i_h, s_yb, s_yh, s_yd, v_0, BV, ALIGNED)
    i_out = i_bh * N + i_n
    if HAS_FWD:
        p_gf = head_columns(p_gf, i_b, i_h, s_gfb, s_gfh, s_gfd, 0, BK, ALIGNED)
        b_h, b_decay = chunk_state(
            p_x, s_xt, p_y, s_yt, p_gf, s_gft, m_k, m_v, i_n, T,
            NORM, OF_KEYS, not OF_KEYS, PRECISION,
        )  # fmt: skip
        store_state(p_state, p_decay, i_out, b_h, b_decay, o_k, o_v, K, V)
    if HAS_BWD:
        p_gb = head_columns(p_gb, i_b, i_h, s_gbb, s_gbh, s_gbd, 0, BK, ALIGNED)
        b_h, b_decay = chunk_state(
            p_x, s_xt, p_y, s_yt, p_gb, s_gbt, m_k, m_v, i_n, T,
            NORM, not OF_KEYS, not OF_KEYS, PRECISION,
        )  # fmt: skip
        store_state(p_state, p_decay, B * H * N + i_out, b_h, b_decay, o_k, o_v, K, V)


@triton.jit
def combine(b_a1, b_u1, b_a2, b_u2):
    """Two steps of h ← a h + u as one."""
    return b_a1 * b_a2, b_a2 * b_u1 + b_u2


@triton.jit(do_not_specialize=['N', 'rows'])
def bi_gla_kernel_scan(
    p_state, p_decay, p_entering, p_initial, p_last, N: tl.int64, rows: tl.int64,
    K: tl.constexpr, V: tl.constexpr, BN: tl.constexpr, BE: tl.constexpr,
    HAS_FWD: tl.constexpr, OF_KEYS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Own states to the states that enter each chunk (equation 5; 8 for gradients).

    Forward states of keys run from the first chunk to the last, backward ones from the last to the
    first, and gradients against them. Tiles [BN, BE] of chunks and state entries are scanned in
    parallel, one after the other. With STATES the walks begin with `p_initial` and write what they
    end with to `p_last`, both [2, B, H, K, V]. Grid: (ceil(K · V / BE), directions · B · H),
    `rows` = B · H.
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
    m_e = o_e < K * V
    if STATES:
        b_carry = tl.load(p_initial + i_row * K * V + o_e, mask=m_e, other=0.0)
    else:
        b_carry = tl.zeros([BE], dtype=tl.float32)
    first = tl.where(falls, N - 1, 0)
    tl.store(p_entering + first * K * V + o_e, b_carry, mask=m_e)
    for n_0 in range(0, N, BN):
        o_n = n_0 + o_r
        o_i = tl.where(falls, N - 1 - o_n, o_n)
        m_n = (o_n < N)[:, None] & m_e[None, :]
        b_u = tl.load(p_state + o_i[:, None] * K * V + o_e[None, :], mask=m_n, other=0.0)
        b_a = tl.load(p_decay + o_i[:, None] * K + (o_e // V)[None, :], mask=m_n, other=1.0)
        b_a, b_u = tl.associative_scan((b_a, b_u), 0, combine)
        b_h = b_a * b_carry[None, :] + b_u
        o_next = tl.where(falls, o_i - 1, o_i + 1)
        m_next = (o_n + 1 < N)[:, None] & m_e[None, :]
        tl.store(p_entering + o_next[:, None] * K * V + o_e[None, :], b_h, mask=m_next)
        b_carry = tl.sum(tl.where((o_r == BN - 1)[:, None], b_h, 0.0), 0)
    if STATES:
        tl.store(p_last + i_row * K * V + o_e, b_carry, mask=m_e)


@triton.jit
def advance_state(
    b_h, p_x, s_x, p_y, s_y, p_g, s_g, m_k, m_v, t_0, T,
    NORM: tl.constexpr, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The state on the far side of a sub-chunk, given the one that enters it, [BK, BV]."""
    o_t = t_0 + tl.arange(0, BC)
    b_x = load_rows(p_x, s_x, m_k, o_t, 0, T)
    b_g = load_gates(p_g, s_g, m_k, t_0, T, NORM)
    b_x *= decay_to_edge(b_g, TO_END, INCLUSIVE, PRECISION)
    b_y = load_rows(p_y, s_y, m_v, o_t, 0, T)
    b_h *= total_decay(b_g)[:, None]
    return b_h + tl.dot(tl.trans(b_x), b_y, input_precision=PRECISION)


@triton.jit
def state_before(
    p_h, p_x, s_x, p_y, s_y, p_g, s_g, m_k, m_v, i_s, T,
    NORM: tl.constexpr, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The state that enters sub-chunk `i_s`, [BK, BV]: from its chunk's edge, where it is `p_h`.

    TO_END walks from the chunk's first sub-chunk upwards, otherwise from its last downwards.
    """
    b_h = tl.load(p_h, mask=m_k[:, None] & m_v[None, :], other=0.0)
    first = i_s // NS * NS
    last = tl.minimum(first + NS, tl.cdiv(T, BC)) - 1
    for i in range(0, i_s - first if TO_END else last - i_s):
        t_0 = (first + i if TO_END else last - i) * BC
        b_h = advance_state(
            b_h, p_x, s_x, p_y, s_y, p_g, s_g, m_k, m_v, t_0, T,
            NORM, TO_END, INCLUSIVE, PRECISION,
        )  # fmt: skip
    return b_h
