"""`bi_gla` by products of whole chunks, whose gates must not sum to more than floats bear.

In a chunk of C tokens let c_t be the sum of the gates up to token t in the direction's order, less
half of the sum of all. A score of query t and key s carries exp(c_t - c_s), so all scores are one
product of queries times exp(c) and keys over exp(c), of which those against the direction count
nothing. What a state brings to a chunk, and what the chunk adds to it, are products with the same
queries and keys, if the state is taken as it is in the chunk's middle, where c is 0. From middle to
middle it decays by half of both chunks (`walk`). It is exact as long as decays and their inverses
are far from the limits of float32: chunks have to be open, with (13) of `kernels/README.md` as the
same product there.

Letters: B batch, T tokens, H heads, K key width, V value width; P chunks of a group, G groups of
one image and head, N = B · H · G, M = P · N chunks.
"""

from functools import reduce

import numpy as np

from .attention import Attention
from .layout import Layout
from .nodes import Nodes
from .rows import Rows
from .walk import states_of_chunks

CHUNK = 32  # tokens of a chunk at most; less where that fills up fewer
CHUNKS = 8  # in a group
# Of the gates of a chunk in one direction: exp(40) times a query and a key is far from overflow,
# and rounding in sums so large costs the output 6e-6 of its size, the most that was found.
LARGEST_SUM = 40.0


class Chunks:
    """Gates in chunks.

    Args:
        gates: of each direction, [B, T, H, K], in units of a factor.

    Attributes:
        layout: of the chunks.
        index_MC: the rows [B, T, H] of their tokens.
        gates_MCK, logs_MK: of each direction, gates in units of `factor`, and their sums.
    """

    def __init__(self, nodes: Nodes, call: Attention, gates: list[str], factor: float) -> None:
        self.nodes, self.factor = nodes, factor
        rows = Rows(nodes, call)
        groups = rows.share(rows.tokens, rows.number(CHUNK * CHUNKS))
        chunk = rows.share(rows.tokens, nodes.Mul(groups, rows.number(CHUNKS)))
        self.layout = Layout(rows, chunk, CHUNKS, groups)
        self.index_MC = nodes.Reshape(self.layout.index('PBHGC'), nodes.shape(-1, chunk))
        self.gates_MCK = [rows.take(gate, call.key_width, self.index_MC) for gate in gates]
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


def by_products(nodes: Nodes, call: Attention, chunks: Chunks) -> str:
    """Write `bi_gla`; returns the name of o, [B, T, H, V]."""
    K, V = call.key_width, call.value_width
    scale = call.scale / len(call.directions)
    layout = chunks.layout.inside(nodes)
    take, index_MC = layout.rows.take, chunks.index_MC
    q_MCK = take(call.q, K, index_MC)
    k_MCK = layout.only_tokens(take(call.k, K, index_MC), 'PXGC', K, scale)
    v_MCV = take(call.v, V, index_MC)
    size = nodes.shape(layout.chunk, layout.chunk)

    def matrix(values: np.ndarray) -> str:
        """The first [C, C] numbers."""
        return nodes.Slice(nodes.floats(values), nodes.ints(0, 0), size)

    scores, outputs = [], []
    for (_, reverse), gate_MCK, log_MK in zip(
        call.directions, chunks.gates_MCK, chunks.logs_MK, strict=True
    ):
        reached = np.tri(CHUNK, dtype=np.float32)  # [query, key]
        reached = reached.T if reverse else reached
        centred_MCK = nodes.MatMul(matrix((reached - 0.5) * chunks.factor), gate_MCK)
        decay_MCK = nodes.Exp(centred_MCK)
        query_MCK = nodes.Mul(q_MCK, decay_MCK)
        key_MKC = nodes.Transpose(nodes.Div(k_MCK, decay_MCK), perm=[0, 2, 1])
        scores.append(nodes.Mul(nodes.MatMul(query_MCK, key_MKC), matrix(reached)))
        own_MKV = nodes.MatMul(key_MKC, v_MCV)
        state_MKV = states_of_chunks(layout, own_MKV, log_MK, reverse, in_middle=True, sizes=(K, V))
        outputs.append(nodes.MatMul(query_MCK, state_MKV))
    outputs.append(nodes.MatMul(reduce(nodes.Add, scores), v_MCV))
    return layout.to_tokens(reduce(nodes.Add, outputs), V)
