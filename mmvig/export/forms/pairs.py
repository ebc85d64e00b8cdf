"""`bi_gla` by a decay for each pair of tokens of a chunk: exact for any finite gate.

In a chunk of C tokens a score between a query t and a key s carries the decay of the tokens between
them, exp(Σ g): the sums of all pairs are one product of the gates with a matrix of zeros and ones.
From chunk to chunk states [K, V] go as `walk` has it. Gates are at most 0, so sums are of numbers
of one sign, and what is exponentiated is at most 0: nothing cancels, nothing overflows, and there
is no division by a decay.

Letters: B batch, T tokens, H heads, K key width, V value width; C tokens of a chunk, P chunks of a
group, G groups of one image and head, N = B · H · G, M = P · N chunks.
"""

import numpy as np

from .attention import Attention, Direction
from .layout import Layout
from .nodes import Nodes
from .rows import Rows
from .walk import states_of_chunks

# Scores cost C decays a token, states in chunks 2 K V / C numbers.
CHUNK = 8
CHUNKS = 16  # in a group


def by_pairs(nodes: Nodes, call: Attention, gates: list[str], factor: float) -> str:
    """Write `bi_gla` of gates in units of a factor; returns the name of o, [B, T, H, V]."""
    K, V = call.key_width, call.value_width
    scale = call.scale / len(call.directions)
    rows = Rows(nodes, call)
    groups = rows.share(rows.tokens, rows.number(CHUNK * CHUNKS))
    layout = Layout(rows, rows.number(CHUNK), CHUNKS, groups)
    index_CM = nodes.Reshape(layout.index('CPBHG'), nodes.ints(CHUNK, -1))
    index_MC = nodes.Reshape(layout.index('PBHGC'), nodes.ints(-1, CHUNK))
    q_CMK = rows.take(call.q, K, index_CM)
    k_CMK = layout.only_tokens(rows.take(call.k, K, index_CM), 'CPXG', K, scale)
    v_MCV = rows.take(call.v, V, index_MC)
    gates = [rows.take(gate, K, index_CM) for gate in gates]
    flat = [nodes.Reshape(gate, nodes.ints(CHUNK, -1)) for gate in gates]  # [C, M · K]

    def sums(matrix: np.ndarray, gate: str) -> str:
        """Sums of gates; their factor is in the matrix."""
        return nodes.MatMul(nodes.floats(matrix * factor), gate)

    def decay(matrix: np.ndarray, gate: str) -> str:
        return nodes.Reshape(nodes.Exp(sums(matrix, gate)), nodes.ints(len(matrix), -1, K))

    out_MCV = nodes.MatMul(_scores(nodes, call.directions, q_CMK, k_CMK, flat, decay, K), v_MCV)
    for (_, reverse), gate in zip(call.directions, flat, strict=True):
        to_query, from_key = _border_sums(reverse)
        query_CMK = nodes.Mul(decay(to_query, gate), q_CMK)
        key_CMK = nodes.Mul(decay(from_key, gate), k_CMK)
        own_MKV = nodes.MatMul(nodes.Transpose(key_CMK, perm=[1, 2, 0]), v_MCV)
        log_MK = sums(np.ones((1, CHUNK)), gate)
        state_MKV = states_of_chunks(
            layout, own_MKV, log_MK, reverse, in_middle=False, sizes=(K, V)
        )
        query_MCK = nodes.Transpose(query_CMK, perm=[1, 0, 2])
        out_MCV = nodes.Add(out_MCV, nodes.MatMul(query_MCK, state_MKV))
    return layout.to_tokens(out_MCV, V)


def _scores(
    nodes: Nodes,
    directions: tuple[Direction, ...],
    q_CMK: str,
    k_CMK: str,
    gates: list[str],
    decay,
    K: int,
) -> str:
    """Scores between tokens of a chunk, [M, C, C]: both directions fill one matrix.

    A token reads itself once in each direction.
    """
    sums, weights = _pair_sums(directions)
    both = nodes.Concat(*gates, axis=0) if len(gates) > 1 else gates[0]
    decay_CCMK = nodes.Reshape(decay(sums, both), nodes.ints(CHUNK, CHUNK, -1, K))
    keys_CCMK = nodes.Mul(decay_CCMK, k_CMK)
    # Not a product of matrices: those of one row cost more than this pass over memory.
    products_CCMK = nodes.Mul(keys_CCMK, nodes.Reshape(q_CMK, nodes.ints(CHUNK, 1, -1, K)))
    scores_CCM = nodes.ReduceSum(products_CCMK, nodes.ints(-1), keepdims=0)
    return nodes.Mul(nodes.Transpose(scores_CCM, perm=[2, 0, 1]), nodes.floats(weights))


def _pair_sums(directions: tuple[Direction, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which gates lie between two tokens, [C · C, directions · C], and how often a pair counts.

    Of s < t it is those of s + 1 … t of the forward direction, of s > t those of t … s - 1 of the
    backward one.
    """
    t, s, r = np.ogrid[:CHUNK, :CHUNK, :CHUNK]
    between = {False: (s < r) & (r <= t), True: (t <= r) & (r < s)}
    counts = {False: np.tri(CHUNK), True: np.tri(CHUNK).T}
    sums = [between[reverse].reshape(-1, CHUNK) for _, reverse in directions]
    weights = sum(counts[reverse] for _, reverse in directions)
    return np.concatenate(sums, axis=1).astype(np.float32), weights


def _border_sums(reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which gates lie between the border where a state enters and a query, a key and the other."""
    until = np.tri(CHUNK, dtype=np.float32)  # a token counts its own gate as a query only
    after = np.tri(CHUNK, k=-1, dtype=np.float32).T
    return (until.T, after.T) if reverse else (until, after)
