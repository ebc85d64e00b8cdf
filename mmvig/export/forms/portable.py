"""`bi_gla` in plain operators that every runtime has: linear in the tokens, exact for finite gates.

There are two ways, of which each run takes one for each call: products of whole chunks of tokens
where the gates of all chunks allow it (`open_chunks`), as those of images mostly do, and in less
time; else a decay for each pair of tokens (`pairs`), whatever the gates are. A gate must be finite:
with -inf, which the other forms take, its product with a zero is NaN.
"""

from .attention import Attention, negative_log_sigmoid
from .nodes import Nodes
from .open_chunks import Chunks, by_products
from .pairs import by_pairs


def portable(nodes: Nodes, call: Attention) -> str:
    """Write `bi_gla`; returns the name of o, [B, T, H, V]."""
    gates, factor = [direction.gate for direction in call.directions], 1.0
    if call.normalizer is not None:
        gates = [negative_log_sigmoid(nodes, gate) for gate in gates]
        factor = -1 / call.normalizer
    chunks = Chunks(nodes, call, gates, factor)
    return nodes.either(
        chunks.are_open(),
        lambda inside: by_products(inside, call, chunks),
        lambda inside: by_pairs(inside, call, gates, factor),
    )
