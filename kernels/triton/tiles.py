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

BC = tl.constexpr(16)  # the smallest tile of the tensor cores
LEVELS = tl.constexpr(4)  # of halving a sub-chunk
# Triton 3.0 crashes where it computes a mask right in the layout of a product's operand. A sum in
# between, which changes nothing, has it convert the layout instead.
CONVERT_MASKS = tl.constexpr(triton.__version__.startswith('3.0.'))
# A chunk is open if the decays of its gates are at least e^-40, in the backward pass e^-8: pairs of
# its tokens may then take their decays from its edge (equations 13 and 14).
OPEN = tl.constexpr(4.3e-18)
OPEN_GRADIENTS = tl.constexpr(3.4e-4)
NS = tl.constexpr(4)  # more write fewer states, but walk further to each sub-chunk


def strides(*tensors: str) -> list[str]:
    """Names of the stride parameters of a kernel's tensors, which may take any value."""
    return [f's_{name}{axis}' for name in tensors for axis in 'bthd']


@triton.jit
def in_vectors(stride, p_x):
    """A stride that is a multiple of 16 bytes, as one that Triton can see to be."""
    width: tl.constexpr = 128 // p_x.dtype.element_ty.primitive_bitwidth
    return stride // width * width


@triton.jit
def head(p_x, i_b, i_h, s_b, s_h, ALIGNED: tl.constexpr):
    """The first pointer of one head, whose rows begin at multiples of 16 bytes if ALIGNED."""
    if ALIGNED:
        p_x += i_b * in_vectors(s_b, p_x) + i_h * in_vectors(s_h, p_x)
    else:
        p_x += i_b * s_b + i_h * s_h
    return p_x


@triton.jit
def columns(p_x, s_d, d_0, BD: tl.constexpr, ALIGNED: tl.constexpr):
    """BD columns of a head from d_0 on, at token 0: the first pointer if they are neighbours
    (ALIGNED); otherwise a pointer each, [BD].
    """
    if ALIGNED:
        p_x += d_0
    else:
        p_x += (d_0 + tl.arange(0, BD)) * s_d
    return p_x


@triton.jit
def head_columns(p_x, i_b, i_h, s_b, s_h, s_d, d_0, BD: tl.constexpr, ALIGNED: tl.constexpr):
    """`columns` of one head; in one sum, which takes fewer registers than `head` and they do."""
    if ALIGNED:
        p_x += i_b * in_vectors(s_b, p_x) + i_h * in_vectors(s_h, p_x) + d_0
    else:
        p_x += i_b * s_b + i_h * s_h + (d_0 + tl.arange(0, BD)) * s_d
    return p_x


@triton.jit
def row_pointers(p_x, s_x, o_t, BD: tl.constexpr):
    """Pointers to the rows `o_t`, [BC, BD]."""
    if p_x.type.is_block():
        p_rows = p_x[None, :] + o_t[:, None] * s_x
    else:
        p_rows = p_x + o_t[:, None] * in_vectors(s_x, p_x) + tl.arange(0, BD)[None, :]
    return p_rows


@triton.jit
def load_rows(p_x, s_x, m_d, o_t, lo, hi):
    """Rows `o_t` of one head in float32, [BC, BD]; zeros outside [lo, hi) and past the width."""
    m_x = (o_t >= lo)[:, None] & (o_t < hi)[:, None] & m_d[None, :]
    return tl.load(row_pointers(p_x, s_x, o_t, m_d.shape[0]), mask=m_x, other=0).to(tl.float32)


@triton.jit
def store_rows(p_x, s_x, m_d, b_x, o_t, hi, ADD: tl.constexpr = False):
    """Write the rows before `hi` of a tensor whose columns are neighbours, or add to them."""
    m_x = (o_t < hi)[:, None] & m_d[None, :]
    p_rows = p_x + o_t[:, None] * s_x + tl.arange(0, m_d.shape[0])[None, :]
    if ADD:
        b_x += tl.load(p_rows, mask=m_x, other=0).to(tl.float32)
    tl.store(p_rows, b_x.to(p_x.dtype.element_ty), mask=m_x)


@triton.jit
def as_gates(b_x, NORM: tl.constexpr):
    """Gates of what was loaded: itself, or logsigmoid / NORM of logits."""
    if NORM != 0.0:
        b_x = (tl.minimum(b_x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(b_x)))) / NORM
    return b_x


@triton.jit
def load_gates(p_g, s_g, m_k, t_0, T, NORM: tl.constexpr):
    """Gates of a sub-chunk, [BC, BK]; zeros, which decay nothing, past the end.

    Below -128, where a decay is zero in float32, gates are -128: infinite ones would make NaN of
    the zeros in `add_up`.
    """
    o_t = t_0 + tl.arange(0, BC)
    b_g = as_gates(load_rows(p_g, s_g, m_k, o_t, 0, T), NORM)
    b_g = tl.where(b_g < -128.0, -128.0, b_g)
    return tl.where((o_t < T)[:, None], b_g, 0.0)


@triton.jit
def add_up(m_x, b_x, PRECISION: tl.constexpr):
    """For each row of `m_x` [BC, BC] the sum of the rows of `b_x` that it chooses, [BC, BD].

    As products of tensor cores, which keep 21 bits of a number cut in two.
    """
    b_m = m_x.to(tl.float32)
    if CONVERT_MASKS:
        b_m *= (tl.sum(b_m) > 0).to(tl.float32)
    if PRECISION == 'ieee':
        b_sum = tl.dot(b_m, b_x, input_precision=PRECISION)
    else:
        b_leading = (b_x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        b_sum = tl.dot(b_m, b_leading, input_precision=PRECISION)
        b_sum = tl.dot(b_m, b_x - b_leading, b_sum, input_precision=PRECISION)
    return b_sum


@triton.jit
def lies_to_edge(o_x, o_g, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr):
    """Whether the gate of row `o_g` lies between the token of row `o_x` and its sub-chunk's end (or
    start). INCLUSIVE counts the token's own gate.
    """
    m_own = (o_g == o_x) & INCLUSIVE
    return m_own | (o_g > o_x if TO_END else o_g < o_x)


@triton.jit
def lies_to_border(o_x, o_g, level, REVERSE: tl.constexpr):
    """Whether the gate of row `o_g` lies between the token of row `o_x` and the border that its
    block of 2**level tokens shares with the other block of its pair (equation 7).

    Of a pair, the block that the direction comes to last has the queries, whose own gates count.
    """
    m_later = (o_x >> level) & 1 == 1
    m_earlier = (o_x >> level) & 1 == 0  # Triton 3.0's interpreter cannot invert m_later
    if REVERSE:
        m_side = (m_later & (o_g < o_x)) | (m_earlier & (o_g >= o_x))
    else:
        m_side = (m_later & (o_g <= o_x)) | (m_earlier & (o_g > o_x))
    return m_side & (o_g >> level == o_x >> level)


@triton.jit
def reads(o_q, o_k, level, REVERSE: tl.constexpr):
    """Whether the token of row `o_q` reads that of row `o_k` across the border of their blocks."""
    i_q, i_k = o_q >> level, o_k >> level
    return (i_q >> 1 == i_k >> 1) & (i_q < i_k if REVERSE else i_q > i_k)


@triton.jit
def levels(t_0, T):
    """Of halving that pairs of a sub-chunk's tokens need. Known only at run time, loops over them
    stay loops: unrolled, they would spill.
    """
    return tl.minimum(T - t_0 - 1, LEVELS).to(tl.int32)


@triton.jit
def decay_to_edge(b_g, TO_END: tl.constexpr, INCLUSIVE: tl.constexpr, PRECISION: tl.constexpr):
    """Decay between each token of a sub-chunk and its end (or start), [BC, BK].

    A sum of gates of one sign has a rounding error that vanishes with the decay itself (equation
    12); nothing is subtracted.
    """
    o_r = tl.arange(0, BC)
    m_between = lies_to_edge(o_r[:, None], o_r[None, :], TO_END, INCLUSIVE)
    return tl.exp(add_up(m_between, b_g, PRECISION))


@triton.jit
def decay_to_border(b_g, level, REVERSE: tl.constexpr, PRECISION: tl.constexpr):
    """Decay between each token and the border of its pair of blocks, [BC, BK]."""
    o_r = tl.arange(0, BC)
    m_between = lies_to_border(o_r[:, None], o_r[None, :], level, REVERSE)
    return tl.exp(add_up(m_between, b_g, PRECISION))


@triton.jit
def total_decay(b_g):
    """Decay of a whole sub-chunk, [BK]."""
    return tl.exp(tl.sum(b_g, 0))


@triton.jit
def add_scores(b_scores, b_q, b_k, b_g, t_0, T, REVERSE: tl.constexpr, PRECISION: tl.constexpr):
    """Add one direction's scores between different tokens of a sub-chunk, [BC, BC]."""
    o_r = tl.arange(0, BC)
    for level in range(0, levels(t_0, T)):
        b_e = decay_to_border(b_g, level, REVERSE, PRECISION)
        b_s = tl.dot(b_q * b_e, tl.trans(b_k * b_e), input_precision=PRECISION)
        m_s = reads(o_r[:, None], o_r[None, :], level, REVERSE)
        b_scores += tl.where(m_s, b_s, 0.0)
    return b_scores


@triton.jit
def own_scores(b_q, b_k, DIRECTIONS: tl.constexpr):
    """Scores of tokens with themselves, once per direction, on a diagonal [BC, BC]."""
    o_r = tl.arange(0, BC)
    b_own = tl.sum(b_q * b_k, 1) * DIRECTIONS
    return tl.where(o_r[:, None] == o_r[None, :], b_own[:, None], 0.0)


@triton.jit
def least_decay(p_decay, of_bwd, m_k, HAS_FWD: tl.constexpr, HAS_BWD: tl.constexpr):
    """Of a chunk's decays, which begin at `p_decay` and `of_bwd` later, the least."""
    o_k = tl.arange(0, m_k.shape[0])
    least = 1.0
    if HAS_FWD:
        least = tl.min(tl.load(p_decay + o_k, mask=m_k, other=1.0), 0)
    if HAS_BWD:
        least = tl.minimum(least, tl.min(tl.load(p_decay + of_bwd + o_k, mask=m_k, other=1.0), 0))
    return least
