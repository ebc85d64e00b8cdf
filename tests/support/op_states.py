"""Sequences cut into parts that hand states to one another."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmvig.kernels import bi_gla

Pair = tuple[Tensor | None, Tensor | None]


def states_for(q, k, v, *gates) -> tuple[Tensor, Tensor]:
    """Initial states, forward and backward, for these arguments."""
    B, _, H, K = q.shape
    rng = torch.Generator().manual_seed(2)
    pair = torch.randn(2, B, H, K, v.shape[-1], dtype=torch.float64, generator=rng)
    return tuple(state.to(q.device, q.dtype) for state in pair)


def in_parts(
    q, k, v, g_fwd, g_bwd, *, cuts: Sequence[int], initial: Pair = (None, None), **options
) -> tuple[Tensor, Pair]:
    """o and the last states of `bi_gla`, a part at a time.

    A pass from the first part to the last collects the forward states that enter them; one from the
    last to the first has both states of each.
    """
    borders = [0, *cuts, q.shape[1]]
    parts = [
        [None if x is None else x[:, start:stop] for x in (q, k, v, g_fwd, g_bwd)]
        for start, stop in zip(borders, borders[1:], strict=False)
    ]
    forward, backward = initial
    entering = []
    for q, k, v, g_fwd, _ in parts:
        entering.append(forward)
        if g_fwd is not None:
            states = dict(initial_states=(forward, None), return_states=True)
            _, (forward, _) = bi_gla(q, k, v, g_fwd, None, **states, **options)
    outputs = []
    for part, state in zip(reversed(parts), reversed(entering), strict=True):
        states = dict(initial_states=(state, backward), return_states=True)
        o, (_, backward) = bi_gla(*part, **states, **options)
        outputs.append(o)
    return torch.cat(outputs[::-1], dim=1), (forward, backward)


def as_tokens(state: Tensor, q, k, v, g) -> list[Tensor]:
    """q, k, v, g of a forward direction with what replaces `state` before it: K tokens, each of
    which writes one row. After them, K tokens read the last state, one row each.
    """
    B, _, H, K = q.shape
    rows = torch.eye(K, dtype=q.dtype)[None, :, None].expand(B, K, H, K)
    zeros = torch.zeros_like(rows)
    return [
        torch.cat([zeros, q, rows], dim=1),
        torch.cat([rows, k, zeros], dim=1),
        torch.cat([state.transpose(1, 2), v, torch.zeros_like(state).transpose(1, 2)], dim=1),
        torch.cat([zeros, g, zeros], dim=1),
    ]
