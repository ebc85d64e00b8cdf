"""Tiles that the Triton kernels share: loads, and decays inside a sub-chunk.

Names: `i_` program or loop index, `o_` offsets, `m_` mask, `p_` pointers, `b_` a loaded block,
`s_xt` the stride of x along t; BT tokens of a chunk, BC of a sub-chunk, BK and BV padded widths.
"""

import triton
import triton.language as tl


@triton.jit
def load_rows(p_x, o_t, lo, hi, s_t, o_d, s_d, D: tl.constexpr):
    """Rows `o_t` of one head in float32; zeros outside [lo, hi) and past the width D."""
    m_x = (o_t >= lo)[:, None] & (o_t < hi)[:, None] & (o_d < D)[None, :]
    # a block of BC by BD
    return tl.load(p_x + o_t[:, None] * s_t + o_d[None, :] * s_d, mask=m_x, other=0).to(tl.float32)


@triton.jit
def store_rows(p_x, b_x, o_t, hi, s_t, o_d, s_d, D: tl.constexpr, ADD: tl.constexpr = False):
    """Write the rows before `hi`, or add to what stands there."""
    if ADD:
        b_x += load_rows(p_x, o_t, 0, hi, s_t, o_d, s_d, D)
    m_x = (o_t < hi)[:, None] & (o_d < D)[None, :]
    tl.store(p_x + o_t[:, None] * s_t + o_d[None, :] * s_d, b_x.to(p_x.dtype.element_ty), mask=m_x)


@triton.jit
def as_gates(b_x, NORM: tl.constexpr):
    """Gates of what was loaded: itself, or logsigmoid / NORM of logits."""
    if NORM != 0.0:
        b_x = (tl.minimum(b_x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(b_x)))) / NORM
    return b_x


@triton.jit
def load_gates(p_g, o_t, lo, hi, s_t, o_k, s_k, K: tl.constexpr, NORM: tl.constexpr):
    """Gates of the rows `o_t`; zeros, which decay nothing, outside [lo, hi)."""
    b_g = as_gates(load_rows(p_g, o_t, lo, hi, s_t, o_k, s_k, K), NORM)
    return tl.where(((o_t >= lo) & (o_t < hi))[:, None], b_g, 0.0)


@triton.jit
def border_decay(
    p_g, t_0, T, s_t, o_k, s_k, K: tl.constexpr, BC: tl.constexpr, NORM: tl.constexpr,
    TO_END: tl.constexpr, OWN: tl.constexpr,
):  # fmt: skip
    """Decay between each token of a sub-chunk and its end (or start), with or without its own gate.

    A sum of gates of one sign, so that its rounding error vanishes with the decay itself: equation
    (12). Leaving the own gate out shifts the rows that are read, it never subtracts.
    """
    if OWN:
        shift = 0
    elif TO_END:
        shift = 1
    else:
        shift = -1
    o_t = t_0 + shift + tl.arange(0, BC)
    b_g = load_gates(p_g, o_t, t_0, tl.minimum(t_0 + BC, T), s_t, o_k, s_k, K, NORM)
    # a block of BC by BK
    return tl.exp(tl.cumsum(b_g, 0, reverse=TO_END))


@triton.jit
def total_decay(p_g, t_0, T, s_t, o_k, s_k, K: tl.constexpr, BC: tl.constexpr, NORM: tl.constexpr):
    """Decay of a whole sub-chunk, [BK]."""
    o_t = t_0 + tl.arange(0, BC)
    return tl.exp(tl.sum(load_gates(p_g, o_t, t_0, T, s_t, o_k, s_k, K, NORM), 0))


@triton.jit
def load_vector(p_x, t, T, s_t, o_d, s_d, D: tl.constexpr):
    """One token's row in float32, [BD]."""
    return tl.load(p_x + t * s_t + o_d * s_d, mask=(o_d < D) & (t < T), other=0).to(tl.float32)


@triton.jit
def pair_decay(b_e, p_g, i_j, t_0, T, s_t, o_k, s_k, K: tl.constexpr, BC: tl.constexpr,
               NORM: tl.constexpr, REVERSE: tl.constexpr):  # fmt: skip
    """Step of the recurrence over keys j that gives the decays from key j to every query.

    Forward: j falls, rows t ≥ j, one more gate a_{j+1} each step. Backward: j rises, rows t ≤ j,
    one more gate a_{j-1}. `b_e` holds the decays of the step before.
    """
    o_r = tl.arange(0, BC)
    if REVERSE:
        t_gate = t_0 + i_j - 1
        m_past = o_r < i_j
    else:
        t_gate = t_0 + i_j + 1
        m_past = o_r > i_j
    # The gate read before the first step multiplies zeros: no row is past the key yet.
    t_gate = tl.maximum(tl.minimum(t_gate, T - 1), 0)
    b_a = tl.exp(as_gates(load_vector(p_g, t_gate, T, s_t, o_k, s_k, K), NORM))
    b_e = tl.where(m_past[:, None], b_e * b_a[None, :], 0.0)
    return tl.where((o_r == i_j)[:, None], 1.0, b_e)


@triton.jit
def own_rows(t_0, T, BC: tl.constexpr):
    """Tokens of a sub-chunk that exist. Known only at run time, loops over them stay loops."""
    return tl.minimum(T - t_0, BC).to(tl.int32)


@triton.jit
def own_scores(b_q, p_k, p_g, b_scores, t_0, T, s_kt, s_kk, s_gt, s_gk, o_k,
               K: tl.constexpr, BC: tl.constexpr, NORM: tl.constexpr, BK: tl.constexpr,
               REVERSE: tl.constexpr):  # fmt: skip
    """Add one direction's scores between the tokens of a sub-chunk, its own token included."""
    o_r = tl.arange(0, BC)
    b_e = tl.zeros([BC, BK], dtype=tl.float32)
    rows = own_rows(t_0, T, BC)
    for i in range(0, rows):
        i_j = i if REVERSE else rows - 1 - i
        b_e = pair_decay(b_e, p_g, i_j, t_0, T, s_gt, o_k, s_gk, K, BC, NORM, REVERSE)
        b_k = load_vector(p_k, t_0 + i_j, T, s_kt, o_k, s_kk, K)
        b_column = tl.sum(b_q * b_k[None, :] * b_e, 1)
        b_scores += tl.where((o_r == i_j)[None, :], b_column[:, None], 0.0)
    # a block of BC by BC
    return b_scores
