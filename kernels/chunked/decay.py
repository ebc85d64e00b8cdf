"""Decayed queries, keys and scores inside one chunk, exact for any gate.

A score between a query t and a key s of the same chunk carries the decay of every token between
them, exp(g_{s+1} + … + g_t). Factoring it as exp(G_t) · exp(-G_s) overflows, and differences of
cumulative sums lose small gates behind large ones. Here the chunk is halved again and again
(equation 6 of README.md): a pair of neighbouring blocks shares the border between them as its
reference point, the query collects the decay from the border to itself, the key the decay from
itself to the border. All factors are products of numbers in [0, 1]: nothing can overflow, and an
underflow means a true value below the smallest float.

Letters: M chunks of all images and heads, C tokens of a chunk, P pairs of blocks, m tokens of a
block, K key width. A direction is known by `query_half`, the half of a pair that holds its
queries: LATER for the forward direction, EARLIER for the backward one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

EARLIER, LATER = 0, 1


class Level(NamedTuple):
    """What one halving step multiplied, kept for its gradient."""

    q_PmK: Tensor
    k_PmK: Tensor
    q_total_PK: Tensor
    k_total_PK: Tensor


def score_blocks(scores_MCC: Tensor, m: int, query_half: int) -> Tensor:
    """View of the blocks [M, P, m, m] in which `query_half` of each pair reads the other half."""
    blocks = scores_MCC.unflatten(2, (-1, 2, m)).unflatten(1, (-1, 2, m))
    diagonal_MmmP = blocks.diagonal(dim1=1, dim2=4)[:, query_half, :, 1 - query_half]
    return diagonal_MmmP.movedim(-1, 1)


def _halves(x_MCK: Tensor, m: int, query_half: int) -> tuple[Tensor, Tensor]:
    pairs = x_MCK.unflatten(1, (-1, 2, m)).flatten(0, 1)
    return pairs[:, query_half], pairs[:, 1 - query_half]


def decay_to_borders(
    q_MCK: Tensor,
    k_MCK: Tensor,
    decay_MCK: Tensor,
    query_half: int,
    scores_MCC: Tensor | None = None,
    levels: list[Level] | None = None,
) -> Tensor:
    """Decay q and k in place to the borders of their chunk; fill the scores on the way.

    Afterwards q_t carries the decay of every token from the border where its direction enters the
    chunk up to and including t, and k_s that of every token after s up to the border where its
    direction leaves. `decay` is exp(gate). `scores` gets this direction's pairs of different
    tokens. Returns the decay of the whole chunk, [M, K].
    """
    q_MCK.mul_(decay_MCK)
    total = decay_MCK
    m = 1
    while m < q_MCK.shape[1]:
        q_PmK, _ = _halves(q_MCK, m, query_half)
        _, k_PmK = _halves(k_MCK, m, query_half)
        q_total, k_total = _halves(total, 1, query_half)
        if scores_MCC is not None:
            blocks = score_blocks(scores_MCC, m, query_half)
            if m == 1:
                blocks.copy_((q_PmK * k_PmK).sum(-1).view(blocks.shape))
            else:
                blocks.copy_(torch.bmm(q_PmK, k_PmK.mT).view(blocks.shape))
        if levels is not None:
            levels.append(Level(q_PmK.clone(), k_PmK.clone(), q_total, k_total))
        q_PmK.mul_(k_total)
        k_PmK.mul_(q_total)
        total = (q_total * k_total).view(q_MCK.shape[0], -1, q_MCK.shape[2])
        m *= 2
    return total[:, 0]


def backward_through_decay(
    dq_MCK: Tensor,
    dk_MCK: Tensor,
    d_log_total_MK: Tensor,
    dscores_MCC: Tensor,
    levels: list[Level],
    query_half: int,
) -> Tensor:
    """Gradients of what `decay_to_borders` takes, from those of what it returns, in place.

    dq and dk come as gradients of the fully decayed queries and keys and leave as gradients of
    q · decay and k. Returns the gradient of the logarithm of each token's decay, except for what
    it contributes through q · decay, which is left to the caller.
    """
    d_log = d_log_total_MK.unsqueeze(1)
    m = dq_MCK.shape[1]
    for level in reversed(levels):
        m //= 2
        dq_PmK, _ = _halves(dq_MCK, m, query_half)
        _, dk_PmK = _halves(dk_MCK, m, query_half)
        dq_PmK.mul_(level.k_total_PK)
        dk_PmK.mul_(level.q_total_PK)
        children = d_log.flatten(0, 1).unsqueeze(1).repeat(1, 2, 1)
        children[:, 1 - query_half] += (dq_PmK * level.q_PmK).sum(1)
        children[:, query_half] += (dk_PmK * level.k_PmK).sum(1)
        d_log = children.view(dq_MCK.shape[0], -1, dq_MCK.shape[2])
        dblocks = score_blocks(dscores_MCC, m, query_half).flatten(0, 1)
        if m == 1:
            dq_PmK.addcmul_(dblocks, level.k_PmK)
            dk_PmK.addcmul_(dblocks, level.q_PmK)
        else:
            dq_PmK.add_(torch.bmm(dblocks, level.k_PmK))
            dk_PmK.add_(torch.bmm(dblocks.mT, level.q_PmK))
    return d_log
