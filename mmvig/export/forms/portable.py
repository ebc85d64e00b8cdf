"""`bi_gla` in chunks of plain operators that every runtime has: linear, exact for any finite gate.

In a chunk of C tokens a score between a query t and a key s carries the decay of the tokens between
them, exp(Σ g): the sums of all pairs are one product of the gates with a matrix of zeros and ones.
Gates are at most 0, so sums are of numbers of one sign, and what is exponentiated is at most 0:
nothing cancels, nothing overflows, and there is no division by a decay. A gate must be finite: with
-inf, which the other forms take, its product with a zero is NaN. Chunks hand on their state
S [K, V] as `walk` has it. All shapes are computed from that of q, so that the file holds for any
number of tokens.

Letters: B batch, T tokens, H heads, K key width, V value width; M chunks of all images and heads,
G·P chunks of an image, J gates of a chunk in all directions, D channels of K or V.
"""

import numpy as np
import onnx

from .attention import Attention, Direction, negative_log_sigmoid
from .nodes import Nodes
from .walk import entering_states

# Scores cost C decays a token, states 2 K V / C numbers: 8 and 16 measure alike in onnxruntime and
# OpenVINO, and 8 needs half of the memory.
CHUNK = 8


def portable(nodes: Nodes, call: Attention) -> str:
    """Write `bi_gla`; returns the name of o, [B, T, H, V]."""
    K, V = call.key_width, call.value_width
    layout = Layout(nodes, call)
    scale = nodes.floats(call.scale / len(call.directions))
    q_MCK = layout.to_chunks(nodes.Mul(call.q, scale), K)
    k_MCK, v_MCV = layout.to_chunks(call.k, K), layout.to_chunks(call.v, V)
    gates = [layout.to_chunks(direction.gate, K) for direction in call.directions]
    factor = 1.0
    if call.normalizer is not None:
        gates = [negative_log_sigmoid(nodes, gate) for gate in gates]
        factor = -1 / call.normalizer

    def decay(sums: np.ndarray, gate: str) -> str:
        """exp of sums of gates; the factor of the gates is in the matrix."""
        return nodes.Exp(nodes.MatMul(nodes.floats(sums * factor), gate))

    out_MCV = nodes.MatMul(_scores(nodes, call.directions, q_MCK, k_MCK, gates, decay, K), v_MCV)
    queries, states, totals = [], [], []
    for (_, reverse), gate_MCK in zip(call.directions, gates, strict=True):
        to_query, from_key = _border_sums(reverse)
        reached_MCK = decay(to_query, gate_MCK)
        queries.append(nodes.Mul(reached_MCK, q_MCK))
        key_MCK = nodes.Mul(decay(from_key, gate_MCK), k_MCK)
        own_MKV = nodes.MatMul(nodes.Transpose(key_MCK, perm=[0, 2, 1]), v_MCV)
        states.append(layout.to_walk(own_MKV, K, V))
        last = 0 if reverse else CHUNK - 1  # token, which the decay of the whole chunk reaches
        total_M1K = nodes.Slice(reached_MCK, nodes.ints(last), nodes.ints(last + 1), nodes.ints(1))
        totals.append(layout.to_walk(total_M1K, K, 1))
    reverse = [direction.reverse for direction in call.directions]
    entering = entering_states(nodes, states, totals, reverse)
    for query_MCK, state in zip(queries, entering, strict=True):
        state_MKV = nodes.Reshape(state, nodes.ints(-1, K, V))
        out_MCV = nodes.Add(out_MCV, nodes.MatMul(query_MCK, state_MKV))
    return layout.to_tokens(out_MCV, V)


class Layout:
    """Tokens in chunks and back.

    The ⌈T/C⌉ chunks of an image are seen as G rows of P, P = ⌊√⌈T/C⌉⌋, filled up with zeros: the
    walk takes G steps of P chunks at once, then P steps. The row comes first, then P, images and
    heads.
    """

    def __init__(self, nodes: Nodes, call: Attention) -> None:
        self.nodes, self.heads = nodes, call.heads
        shape = nodes.Shape(call.q)
        self.images, self.tokens = (
            nodes.Slice(shape, nodes.ints(axis), nodes.ints(axis + 1)) for axis in (0, 1)
        )
        C = nodes.ints(CHUNK)
        chunks = nodes.Div(nodes.Add(self.tokens, nodes.ints(CHUNK - 1)), C)
        root = nodes.Floor(nodes.Sqrt(nodes.Cast(chunks, to=onnx.TensorProto.FLOAT)))
        self.P = nodes.Cast(root, to=onnx.TensorProto.INT64)
        self.G = nodes.Div(nodes.Sub(nodes.Add(chunks, self.P), nodes.ints(1)), self.P)
        missing = nodes.Sub(nodes.Mul(nodes.Mul(self.G, self.P), C), self.tokens)
        self.padding = nodes.Concat(nodes.ints(0, 0, 0, 0, 0), missing, nodes.ints(0, 0), axis=0)

    def to_chunks(self, x_BTHD: str, D: int) -> str:
        """[B, T, H, D] to [M, C, D]."""
        nodes = self.nodes
        shape = nodes.Concat(self.images, self.P, self.G, nodes.ints(CHUNK, self.heads, D), axis=0)
        split = nodes.Reshape(nodes.Pad(x_BTHD, self.padding), shape)
        return nodes.Reshape(
            nodes.Transpose(split, perm=[2, 1, 0, 4, 3, 5]), nodes.ints(-1, CHUNK, D)
        )

    def to_walk(self, x: str, K: int, D: int) -> str:
        """K · D numbers of each chunk as [G, P, images · heads, K, D]."""
        nodes = self.nodes
        return nodes.Reshape(x, nodes.Concat(self.G, self.P, nodes.ints(-1, K, D), axis=0))

    def to_tokens(self, x_MCD: str, D: int) -> str:
        """[M, C, D] to [B, T, H, D]."""
        nodes = self.nodes
        shape = nodes.Concat(self.G, self.P, self.images, nodes.ints(self.heads, CHUNK, D), axis=0)
        split = nodes.Transpose(nodes.Reshape(x_MCD, shape), perm=[2, 1, 0, 4, 3, 5])
        filled = nodes.Reshape(
            split, nodes.Concat(self.images, nodes.ints(-1, self.heads, D), axis=0)
        )
        return nodes.Slice(filled, nodes.ints(0), self.tokens, nodes.ints(1))


def _scores(
    nodes: Nodes,
    directions: tuple[Direction, ...],
    q_MCK: str,
    k_MCK: str,
    gates: list[str],
    decay,
    K: int,
) -> str:
    """Scores between tokens of a chunk, [M, C, C]: both directions fill one matrix.

    A token reads itself once in each direction.
    """
    sums, weights = _pair_sums(directions)
    gates_MJK = nodes.Concat(*gates, axis=1) if len(gates) > 1 else gates[0]
    decay_MCCK = nodes.Reshape(decay(sums, gates_MJK), nodes.ints(-1, CHUNK, CHUNK, K))
    keys_MCCK = nodes.Mul(decay_MCCK, nodes.Reshape(k_MCK, nodes.ints(-1, 1, CHUNK, K)))
    # Not a product of matrices: those of one row cost more than this pass over memory.
    products_MCCK = nodes.Mul(keys_MCCK, nodes.Reshape(q_MCK, nodes.ints(-1, CHUNK, 1, K)))
    scores_MCC = nodes.ReduceSum(products_MCCK, nodes.ints(-1), keepdims=0)
    return nodes.Mul(scores_MCC, nodes.floats(weights))


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
