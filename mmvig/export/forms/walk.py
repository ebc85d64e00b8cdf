"""States from chunk to chunk of a group, of all groups at once; from group to group see `levels`.

Letters: B batch, H heads, K key width, V value width; P chunks of a group, G groups of one image
and head, N = B · H · G, M = P · N chunks in the order of `Layout`.
"""

import numpy as np

from .layout import Layout
from .levels import entering_states


def states_of_chunks(
    layout: Layout,
    own_MKV: str,
    log_MK: str,
    reverse: bool,
    in_middle: bool,
    sizes: tuple[int, int],
) -> str:
    """The state that the queries of a chunk read, from all tokens before it, [M, K, V].

    Args:
        own_MKV: what the keys of each chunk add to the state.
        log_MK: the logarithm of the decay that a chunk is, in any shape.
        reverse: from the last chunk to the first.
        in_middle: queries read, and keys add, in the middle of a chunk; else queries read where the
            state enters it, and keys add where it leaves.
        sizes: K and V.
    """
    nodes, P, (K, V) = layout.rows.nodes, layout.chunks, sizes

    def places(x: str, count: int, width: int) -> list[str]:
        """[count · N, K, width], in any shape, to as many [1, N, K, width] in the walk's order."""
        x = nodes.Reshape(x, nodes.ints(count, -1, K, width))
        parts = nodes.Split(x, nodes.ints(*[1] * count), axis=0, outputs=count)
        return parts[::-1] if reverse else parts

    log_PD = nodes.Reshape(log_MK, nodes.ints(P, -1))  # D = N · K
    own = places(own_MKV, P, V)
    # Decays from where queries of a chunk read to where its keys add; and from the first border to
    # the first chunk, from where keys add to where the next queries read, and to the last border.
    through, steps = [''] * P, [''] * (P + 1)
    if in_middle:
        halves = (np.eye(P + 1, P) + np.eye(P + 1, P, k=-1)) / 2
        steps = places(nodes.Exp(nodes.MatMul(nodes.floats(halves), log_PD)), P + 1, 1)
    else:
        through = places(nodes.Exp(log_PD), P, 1)

    def decayed(state: str, *decays: str) -> str:
        for decay in filter(None, decays):
            state = nodes.Mul(state, decay)
        return state

    left = own[0]
    for place in range(1, P):
        left = nodes.Add(decayed(left, steps[place], through[place]), own[place])
    log = nodes.ReduceSum(log_PD, nodes.ints(0), keepdims=0)
    left_XGKV = layout.of_image(decayed(left, steps[-1]), K, V)
    entering = entering_states(nodes, left_XGKV, layout.of_image(log, K), reverse, sizes)

    states = [decayed(nodes.Reshape(entering, nodes.ints(1, -1, K, V)), steps[0])]
    for place in range(P - 1):
        added = nodes.Add(decayed(states[-1], through[place]), own[place])
        states.append(decayed(added, steps[place + 1]))
    state_PNKV = nodes.Concat(*(states[::-1] if reverse else states), axis=0)
    return nodes.Reshape(state_PNKV, nodes.ints(-1, K, V))
