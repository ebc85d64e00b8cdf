"""`bi_gla` by a decay for each pair of tokens of a chunk: exact for any finite gate.

In a chunk of C tokens a score between a query t and a key s carries the decay of the tokens between
them, exp(Σ g): the sums of all pairs are one product of the gates with a matrix of zeros and ones.
P chunks in a row are a group, in which states [K, V] go from chunk to chunk; from group to group
they go as `levels` has it. Gates are at most 0, so sums are of numbers of one sign, and what is
exponentiated is at most 0: nothing cancels, nothing overflows, and there is no division by a decay.

Letters: B batch, T tokens, H heads, K key width, V value width; X = B · H, G groups of all images
and heads, M = P · G chunks, the first ones of all groups first.
"""

import numpy as np

from .attention import Attention, Direction
from .levels import before, entering_states
from .nodes import Nodes
from .rows import Rows

# Scores cost C decays a token, states in chunks 2 K V / C numbers.
CHUNK = 8
CHUNKS = 16  # in a group


def by_pairs(nodes: Nodes, call: Attention, gates: list[str], factor: float) -> str:
    """Write `bi_gla` of gates in units of a factor; returns the name of o, [B, T, H, V]."""
    K, V = call.key_width, call.value_width
    layout = Layout(nodes, call)
    scale = nodes.floats(call.scale / len(call.directions))
    q_CMK = layout.to_chunks(nodes.Mul(call.q, scale), K)
    k_CMK = layout.keys(call.k, K)
    v_MCV = layout.values(call.v, V)
    gates = [layout.to_chunks(gate, K) for gate in gates]
    flat = [nodes.Reshape(gate, nodes.ints(CHUNK, -1)) for gate in gates]  # [C, M · K]

    def sums(matrix: np.ndarray, gate: str) -> str:
        """Sums of gates; their factor is in the matrix."""
        return nodes.MatMul(nodes.floats(matrix * factor), gate)

    def decay(matrix: np.ndarray, gate: str) -> str:
        return nodes.Reshape(nodes.Exp(sums(matrix, gate)), nodes.ints(len(matrix), -1, K))

    out_MCV = nodes.MatMul(_scores(nodes, call.directions, q_CMK, k_CMK, flat, decay, K), v_MCV)
    out_PGCV = layout.to_groups(out_MCV, CHUNK, V)
    for (_, reverse), gate in zip(call.directions, flat, strict=True):
        to_query, from_key = _border_sums(reverse)
        query_CMK = nodes.Mul(decay(to_query, gate), q_CMK)
        key_CMK = nodes.Mul(decay(from_key, gate), k_CMK)
        own_MKV = nodes.MatMul(nodes.Transpose(key_CMK, perm=[1, 2, 0]), v_MCV)
        groups = Groups(nodes, layout, sums(np.ones((1, CHUNK)), gate), reverse, (K, V))
        within_PGKV, left_GKV = groups.walk(layout.to_groups(own_MKV, K, V))
        query_PGCK = layout.to_groups(nodes.Transpose(query_CMK, perm=[1, 0, 2]), CHUNK, K)
        for state, query in (
            (within_PGKV, query_PGCK),
            (groups.entering(left_GKV), nodes.Mul(query_PGCK, groups.reach())),
        ):
            out_PGCV = nodes.Add(out_PGCV, nodes.MatMul(query, state))
    return layout.to_tokens(out_PGCV, V)


class Groups:
    """States in groups of P chunks, in one direction.

    Args:
        log: the logarithm of the decay that a chunk is, [M · K] numbers.
        sizes: K and V.
    """

    def __init__(
        self, nodes: Nodes, layout: 'Layout', log: str, reverse: bool, sizes: tuple[int, int]
    ) -> None:
        self.nodes, self.layout, self.reverse, self.sizes = nodes, layout, reverse, sizes
        self.log_PN = nodes.Reshape(log, nodes.ints(CHUNKS, -1))  # N = G · K

    def walk(self, own_PGKV: str) -> tuple[str, str]:
        """The states that enter chunks from others of their group, and those that leave groups."""
        nodes, (K, _) = self.nodes, self.sizes
        parts = nodes.ints(*[1] * CHUNKS)
        own = nodes.Split(own_PGKV, parts, axis=0, outputs=CHUNKS)
        decay_PGK1 = nodes.Reshape(nodes.Exp(self.log_PN), nodes.ints(CHUNKS, -1, K, 1))
        decay = nodes.Split(decay_PGK1, parts, axis=0, outputs=CHUNKS)
        order = range(CHUNKS)[:: -1 if self.reverse else 1]
        state = nodes.Expand(nodes.floats(0), nodes.Shape(own[0]))
        entering = [state] * CHUNKS
        for place in order:
            entering[place] = state
            kept = nodes.Mul(decay[place], state) if place != order[0] else ''
            state = nodes.Add(own[place], kept) if kept else own[place]
        return nodes.Concat(*entering, axis=0), nodes.Squeeze(state, nodes.ints(0))

    def reach(self) -> str:
        """What is left in a chunk of a state that enters its group, [P, G, 1, K]."""
        nodes, (K, _) = self.nodes, self.sizes
        passed = nodes.MatMul(nodes.floats(before(CHUNKS, self.reverse)), self.log_PN)
        return nodes.Reshape(nodes.Exp(passed), nodes.ints(CHUNKS, -1, 1, K))

    def entering(self, left_GKV: str) -> str:
        """The states that enter groups, [G, K, V]."""
        nodes, (K, V) = self.nodes, self.sizes
        state = nodes.Reshape(left_GKV, self.layout.of_image(-1, K, V))
        log = nodes.ReduceSum(self.log_PN, nodes.ints(0), keepdims=0)
        log_XNK = nodes.Reshape(log, self.layout.of_image(-1, K))
        entering = entering_states(nodes, state, log_XNK, self.reverse, (K, V))
        return nodes.Reshape(entering, nodes.ints(-1, K, V))


class Layout:
    """Where rows are: [B, T, H] outside, in chunks of groups inside, [P, B, H, groups, C].

    The last group of an image is filled up with its last token, but with keys of zero.
    """

    def __init__(self, nodes: Nodes, call: Attention) -> None:
        self.nodes = nodes
        self.rows = rows = Rows(nodes, call)
        self.chunk, self.chunks, self.group = map(rows.number, (CHUNK, CHUNKS, CHUNK * CHUNKS))
        missing = nodes.Mod(nodes.Neg(rows.tokens), self.group)
        self.filled = nodes.Add(rows.tokens, missing)
        self.groups = nodes.Div(self.filled, self.group)  # of an image
        missing = nodes.Reshape(missing, nodes.ints(1))
        self.padding = nodes.Concat(nodes.ints(0, 0, 0, 0, 0), missing, nodes.ints(0, 0), axis=0)
        self.index_CM = self._index('CPBHG', rows.tokens, CHUNK, -1)
        self.index_MC = self._index('PBHGC', rows.tokens, -1, CHUNK)
        self.key_CM = self._index('CPBHG', self.filled, CHUNK, -1)

    def of_image(self, *sizes: int) -> str:
        """The shape [X, *sizes]."""
        nodes = self.nodes
        heads = nodes.Reshape(nodes.Mul(self.rows.images, self.rows.heads), nodes.ints(1))
        return nodes.Concat(heads, nodes.ints(*sizes), axis=0)

    def keys(self, k_BTHK: str, K: int) -> str:
        """[B, T, H, K] to [C, M, K]."""
        return self.rows.take(self.nodes.Pad(k_BTHK, self.padding), K, self.key_CM)

    def to_chunks(self, x_BTHK: str, K: int) -> str:
        """[B, T, H, K] to [C, M, K]."""
        return self.rows.take(x_BTHK, K, self.index_CM)

    def values(self, v_BTHV: str, V: int) -> str:
        """[B, T, H, V] to [M, C, V]."""
        return self.rows.take(v_BTHV, V, self.index_MC)

    def to_groups(self, x: str, rows: int, columns: int) -> str:
        """[M, rows, columns] to [P, G, rows, columns]."""
        return self.nodes.Reshape(x, self.nodes.ints(CHUNKS, -1, rows, columns))

    def to_tokens(self, x_PGCV: str, V: int) -> str:
        """[P, G, C, V] to [B, T, H, V]."""
        nodes, rows = self.nodes, self.rows
        token = rows.along('T', 'BTH', rows.count(rows.tokens))
        within = nodes.Mod(token, self.group)
        index_BTH = rows.place(
            nodes.Div(within, self.chunk),
            (rows.images, rows.along('B', 'BTH', rows.count(rows.images))),
            (rows.heads, rows.along('H', 'BTH', rows.count(rows.heads))),
            (self.groups, nodes.Div(token, self.group)),
            (self.chunk, nodes.Mod(within, self.chunk)),
        )
        return rows.take(x_PGCV, V, index_BTH)

    def _index(self, axes: str, tokens: str, *shape: int) -> str:
        """Rows of images of so many tokens; G stands for the groups of one image and head."""
        nodes, rows = self.nodes, self.rows
        token = rows.place(
            rows.along('G', axes, rows.count(self.groups)),
            (self.chunks, rows.along('P', axes, rows.count(self.chunks))),
            (self.chunk, rows.along('C', axes, rows.count(self.chunk))),
        )
        index = rows.place(
            rows.along('B', axes, rows.count(rows.images)),
            (tokens, nodes.Min(token, nodes.Sub(tokens, rows.number(1)))),
            (rows.heads, rows.along('H', axes, rows.count(rows.heads))),
        )
        return nodes.Reshape(index, nodes.ints(*shape))


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
