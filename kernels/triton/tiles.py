"""Tiles that the Triton kernels share: loads, and decays inside a sub-chunk.

Names: `i_` program or loop index, `o_` offsets, `m_` mask, `p_` pointers, `b_` a loaded block,
`s_xt` the stride of x along t. Sizes: BC tokens of a sub-chunk, NS sub-chunks of a chunk, BK and BV
padded widths, BD either of them.

Helpers take a tensor as two arguments, since Triton 3.0 passes no tuples: `p_x`, made by
`head_columns`, and `s_x`, the stride to the next token. The mask `m_d` [BD] has the columns that
exist; `m_k` is that of queries, keys and gates, `m_v` that of values and outputs.
"""

import triton
import triton.language as tl

BC = tl.constexpr(16)  # the smallest tile of the tensor cores; pairs inside are summed without them
NS = tl.constexpr(4)  # more write fewer states, but walk further to each sub-chunk


def strides(*tensors: str) -> list[str]:
    """Names of the stride parameters of a kernel's tensors, which may take any value."""
    return [f's_{name}{axis}' for name in tensors for axis in 'bthd']


@triton.jit
def head_columns(p_x, i_b, i_h, s_b, s_h, s_d, d_0, BD: tl.constexpr, UNIT: tl.constexpr):
    """BD columns from d_0 on, at token 0 of one head: the first pointer if they are neighbours
    (UNIT), which takes fewer registers; otherwise a pointer each, [BD].
    """
    p_x += i_b * s_b + i_h * s_h
    if UNIT:
        p_x += d_0
    else:
        p_x += (d_0 + tl.arange(0, BD)) * s_d
    return p_x


@triton.jit
def row_pointers(p_x, s_x, o_t, BD: tl.constexpr):
    """Pointers to the rows `o_t`, [BC, BD]."""
    if p_x.type.is_block():
        p_rows = p_x[None, :] + o_t[:, None] * s_x
    else:
        p_rows = p_x + o_t[:, None] * s_x + tl.arange(0, BD)[None, :]
    return p_rows


@triton.jit
def load_rows(p_x, s_x, m_d, o_t, lo, hi):
    """Rows `o_t` of one head in float32, [BC, BD]; zeros outside [lo, hi) and past the width."""
    m_x = (o_t >= lo)[:, None] & (o_t < hi)[:, None] & m_d[None, :]
    return tl.load(row_pointers(p_x, s_x, o_t, m_d.shape[0]), mask=m_x, other=0).to(tl.float32)


@triton.jit
def store_rows(p_x, s_x, m_d, b_x, o_t, hi, ADD: tl.constexpr = False):
    """Write the rows before `hi`, or add to what stands there."""
    if ADD:
        b_x += load_rows(p_x, s_x, m_d, o_t, 0, hi)
    m_x = (o_t < hi)[:, None] & m_d[None, :]
    p_rows = row_pointers(p_x, s_x, o_t, m_d.shape[0])
    tl.store(p_rows, b_x.to(p_x.dtype.element_ty), mask=m_x)


@triton.jit
def load_token(p_x, s_x, m_d, t, T):
    """One token's row in float32, [BD]."""
    p_row = p_x + t * s_x
    p_row = p_row if p_x.type.is_block() else p_row + tl.arange(0, m_d.shape[0])
    return tl.load(p_row, mask=m_d & (t < T), other=0).to(tl.float32)


@triton.jit
def as_gates(b_x, NORM: tl.constexpr):
    """Gates of what was loaded: itself, or logsigmoid / NORM of logits."""
    if NORM != 0.0:
        b_x = (tl.minimum(b_x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(b_x)))) / NORM
    return b_x


@triton.jit
def load_gates(p_g, s_g, m_k, o_t, lo, hi, NORM: tl.constexpr):
    """Gates of the rows `o_t`, [BC, BK]; zeros, which decay nothing, outside [lo, hi)."""
    b_g = as_gates(load_rows(p_g, s_g, m_k, o_t, lo, hi), NORM)
    return tl.where(((o_t >= lo) & (o_t < hi))[:, None], b_g, 0.0)


@triton.jit
def decay_to_edge(
    p_g, s_g, m_k, t_0, T, NORM: tl.constexpr, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr
):
    """Decay between each token of a sub-chunk and its end (or start), [BC, BK].

    INCLUSIVE counts the token's own gate. A sum of gates of one sign has a rounding error that
    vanishes with the decay itself (equation 12). Leaving the own gate out shifts the rows that are
    read; nothing is subtracted.
    """
    if INCLUSIVE:
        shift = 0
    elif TO_END:
        shift = 1
    else:
        shift = -1
    o_t = t_0 + shift + tl.arange(0, BC)
    b_g = load_gates(p_g, s_g, m_k, o_t, t_0, tl.minimum(t_0 + BC, T), NORM)
    return tl.exp(tl.cumsum(b_g, 0, reverse=TO_END))


@triton.jit
def total_decay(p_g, s_g, m_k, t_0, T, NORM: tl.constexpr):
    """Decay of a whole sub-chunk, [BK]."""
    o_t = t_0 + tl.arange(0, BC)
    return tl.exp(tl.sum(load_gates(p_g, s_g, m_k, o_t, t_0, T, NORM), 0))


@triton.jit
def pair_decay(b_e, p_g, s_g, m_k, i_j, t_0, T, NORM: tl.constexpr, REVERSE: tl.constexpr):
    """One step of the recurrence over keys j for the decays from key j to every query, [BC, BK].

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
    b_a = tl.exp(as_gates(load_token(p_g, s_g, m_k, t_gate, T), NORM))
    b_e = tl.where(m_past[:, None], b_e * b_a[None, :], 0.0)
    return tl.where((o_r == i_j)[:, None], 1.0, b_e)


@triton.jit
def valid_rows(t_0, T):
    """Tokens of a sub-chunk that exist. Known only at run time, loops over them stay loops."""
    return tl.minimum(T - t_0, BC).to(tl.int32)


@triton.jit
def add_scores(
    b_scores, b_q, p_k, s_k, p_g, s_g, m_k, t_0, T, NORM: tl.constexpr, REVERSE: tl.constexpr
):
    """Add one direction's scores between the tokens of a sub-chunk, each with itself included."""
    o_r = tl.arange(0, BC)
    b_e = tl.zeros(b_q.shape, dtype=tl.float32)
    rows = valid_rows(t_0, T)
    for i in range(0, rows):
        i_j = i if REVERSE else rows - 1 - i
        b_e = pair_decay(b_e, p_g, s_g, m_k, i_j, t_0, T, NORM, REVERSE)
        b_k = load_token(p_k, s_k, m_k, t_0 + i_j, T)
        b_column = tl.sum(b_q * b_k[None, :] * b_e, 1)
        b_scores += tl.where((o_r == i_j)[None, :], b_column[:, None], 0.0)
    return b_scores
