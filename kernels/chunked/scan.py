"""The scan over chunk states: two levels, so that the number of Python steps is O(sqrt(N))."""

from math import isqrt

import torch
from torch import Tensor


def padded_count(chunks: int) -> int:
    """The next number of chunks that splits into equal groups for `exclusive_scan_`."""
    group = isqrt(chunks)
    return -(-chunks // group) * group


def exclusive_scan_(
    state_BNHKV: Tensor, decay_BNHK: Tensor, reverse: bool, initial_BHKV: Tensor | None = None
) -> Tensor:
    """Replace each chunk's own state by the state that enters it (equation 5), in place.

    entering_n = decay_{n-1} * entering_{n-1} + own_{n-1}, entering_0 = initial, zero for None; with
    `reverse` the chunks are walked from the last to the first. All groups of sqrt(N) chunks walk
    side by side, then the groups' results are carried over. N must come from `padded_count`, filled
    up with states of zero and decays of one. Returns the state after the last chunk, [B, H, K, V].
    """
    group = isqrt(state_BNHKV.shape[1])
    own = state_BNHKV.unflatten(1, (-1, group))
    decay = decay_BNHK.unflatten(1, (-1, group)).unsqueeze(-1)
    reach = torch.empty_like(decay)
    state = torch.zeros_like(own[:, :, 0])
    product = torch.ones_like(decay[:, :, 0])
    steps = range(group - 1, -1, -1) if reverse else range(group)
    for j in steps:
        leaving = torch.addcmul(own[:, :, j], decay[:, :, j], state)
        own[:, :, j] = state
        reach[:, :, j] = product
        state, product = leaving, product * decay[:, :, j]

    carries = torch.empty_like(state)
    carry = torch.zeros_like(state[:, 0]) if initial_BHKV is None else initial_BHKV
    groups = range(state.shape[1])
    for i in reversed(groups) if reverse else groups:
        carries[:, i] = carry
        carry = torch.addcmul(state[:, i], product[:, i], carry)
    own.addcmul_(reach, carries.unsqueeze(2))
    return carry
