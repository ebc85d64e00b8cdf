"""`bi_gla` by products of whole chunks, whose gates must not sum to more than floats bear.

In a chunk of C tokens let c_t be the sum of the gates up to token t in the direction's order, less
half of the sum of all. A score of query t and key s carries exp(c_t - c_s), so all scores are one
product of queries times exp(c) and keys over exp(c), of which those against the direction count
nothing. What a state that enters brings, and what a chunk adds to it, are products with the same
queries and keys, and half of the chunk's decay as a factor on the state. States go from chunk to
chunk as `levels` has it. It is exact as long as decays and their inverses are far from the limits
of float32: chunks have to be open, with (13) of `kernels/README.md` as the same product there.

Letters: B batch, T tokens, H heads, K key width, V value width; X = B · H, N chunks of one of them,
M = X · N.
"""

import numpy as np

from .attention import Attention
from .levels import entering_states
from .nodes import Nodes
from .rows import Rows

CHUNK = 32
# Of the gates of a chunk in one direction: exp(40) times a query and a key is far from overflow,
# and rounding in a sum so large costs a decay 20 · 2⁻²⁴ of its size.
LARGEST_SUM = 40.0


class Chunks:
    """Gates in chunks, the last one of an image filled up with its last token's.

    Args:
        gates: of each direction, [B, T, H, K], in units of a factor.

    Attributes:
        rows_MC: the rows [B, T, H] of tokens.
        filled: the number of tokens with those that fill up.
        gates_MCK, logs_MK: of each direction, gates in units of `factor`, and their sums.
    """

    def __init__(self, nodes: Nodes, call: Attention, gates: list[str], factor: float) -> None:
        self.nodes, self.factor = nodes, factor
        rows = Rows(nodes, call)
        missing = nodes.Mod(nodes.Neg(rows.tokens), rows.number(CHUNK))
        self.filled = nodes.Add(rows.tokens, missing)
        self.rows_MC = rows_in_chunks(rows, self.filled, rows.tokens)
        self.gates_MCK = [rows.take(gate, call.key_width, self.rows_MC) for gate in gates]
        self.logs_MK = [
            nodes.Mul(nodes.ReduceSum(gate, nodes.ints(1), keepdims=0), nodes.floats(factor))
            for gate in self.gates_MCK
        ]

    def are_open(self) -> str:
        """Whether no chunk's gates sum to more than `LARGEST_SUM`, in absolute value."""
        nodes = self.nodes
        least = [nodes.ReduceMin(log, keepdims=0) for log in self.logs_MK]
        least = nodes.Min(*least) if len(least) > 1 else least[0]
        return nodes.Less(nodes.floats(-LARGEST_SUM), least)


def rows_in_chunks(rows: Rows, filled: str, tokens: str) -> str:
    """The rows of so many tokens of each image, and the last one's for those that fill up."""
    nodes = rows.nodes
    token = rows.along('T', 'BHT', rows.count(filled))
    index = rows.place(
        rows.along('B', 'BHT', rows.count(rows.images)),
        (tokens, nodes.Min(token, nodes.Sub(tokens, rows.number(1)))),
        (rows.heads, rows.along('H', 'BHT', rows.count(rows.heads))),
    )
    return nodes.Reshape(index, nodes.ints(-1, CHUNK))


def by_products(nodes: Nodes, call: Attention, chunks: Chunks) -> str:
    """Write `bi_gla`; returns the name of o, [B, T, H, V]."""
    K, V = call.key_width, call.value_width
    rows = Rows(nodes, call)
    scale = nodes.floats(call.scale / len(call.directions))
    q_MCK = rows.take(nodes.Mul(call.q, scale), K, chunks.rows_MC)
    k_MCK = _keys(rows, call, chunks)
    v_MCV = rows.take(call.v, V, chunks.rows_MC)
    images_and_heads = nodes.Reshape(nodes.Mul(rows.images, rows.heads), nodes.ints(1))

    def of_image(x: str, *sizes: int) -> str:
        """[M, …] to [X, N, …]."""
        return nodes.Reshape(x, nodes.Concat(images_and_heads, nodes.ints(-1, *sizes), axis=0))

    scores, outputs = [], []
    for (_, reverse), gate_MCK, log_MK in zip(
        call.directions, chunks.gates_MCK, chunks.logs_MK, strict=True
    ):
        reached = np.tri(CHUNK, dtype=np.float32)  # [query, key]
        reached = reached.T if reverse else reached
        centred_MCK = nodes.MatMul(nodes.floats((reached - 0.5) * chunks.factor), gate_MCK)
        decay_MCK = nodes.Exp(centred_MCK)
        query_MCK = nodes.Mul(q_MCK, decay_MCK)
        key_MKC = nodes.Transpose(nodes.Div(k_MCK, decay_MCK), perm=[0, 2, 1])
        scores.append(nodes.Mul(nodes.MatMul(query_MCK, key_MKC), nodes.floats(reached)))
        half = nodes.Exp(nodes.Mul(log_MK, nodes.floats(0.5)))
        half_MK1 = nodes.Reshape(half, nodes.ints(-1, K, 1))
        own_MKV = nodes.Mul(nodes.MatMul(key_MKC, v_MCV), half_MK1)
        entering = entering_states(
            nodes, of_image(own_MKV, K, V), of_image(log_MK, K), reverse, (K, V)
        )
        entering_MKV = nodes.Mul(nodes.Reshape(entering, nodes.ints(-1, K, V)), half_MK1)
        outputs.append(nodes.MatMul(query_MCK, entering_MKV))
    outputs.append(nodes.MatMul(_sum(nodes, scores), v_MCV))
    return _to_tokens(rows, _sum(nodes, outputs), V, chunks.filled)


def _keys(rows: Rows, call: Attention, chunks: Chunks) -> str:
    """[B, T, H, K] to [M, C, K]; those that fill up are zeros."""
    nodes = rows.nodes
    missing = nodes.Reshape(nodes.Sub(chunks.filled, rows.tokens), nodes.ints(1))
    padding = nodes.Concat(nodes.ints(0, 0, 0, 0, 0), missing, nodes.ints(0, 0), axis=0)
    index_MC = rows_in_chunks(rows, chunks.filled, chunks.filled)
    return rows.take(nodes.Pad(call.k, padding), call.key_width, index_MC)


def _to_tokens(rows: Rows, x_MCV: str, V: int, filled: str) -> str:
    """[M, C, V] to [B, T, H, V]."""
    index_BTH = rows.place(
        rows.along('B', 'BTH', rows.count(rows.images)),
        (rows.heads, rows.along('H', 'BTH', rows.count(rows.heads))),
        (filled, rows.along('T', 'BTH', rows.count(rows.tokens))),
    )
    return rows.take(x_MCV, V, index_BTH)


def _sum(nodes: Nodes, terms: list[str]) -> str:
    total = terms[0]
    for term in terms[1:]:
        total = nodes.Add(total, term)
    return total
