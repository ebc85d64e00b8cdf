"""Tokens in chunks and chunks in groups, in an order in which groups are walked side by side.

Outside, rows are in the order [B, T, H]. Inside it is [P, B, H, G, C]: the first chunks of all
groups, then the second ones, and so on. Where the tokens of an image end, its last ones fill up, in
reverse order: so a chunk of them has the gates of many tokens, as others have.

Letters: B batch, T tokens, H heads; C tokens of a chunk, P chunks of a group, G groups of one image
and head.
"""

import copy

import onnx

from .nodes import Nodes
from .rows import Rows


class Layout:
    """Where rows are.

    Args:
        rows: of a call.
        chunk, groups: names of the scalars C and G, with C · P · G ≥ T.
        chunks: P.

    Attributes:
        filled: C · P · G.
    """

    def __init__(self, rows: Rows, chunk: str, chunks: int, groups: str) -> None:
        nodes = rows.nodes
        self.rows, self.chunk, self.chunks, self.groups = rows, chunk, chunks, groups
        self.filled = nodes.Mul(nodes.Mul(chunk, rows.number(chunks)), groups)

    def inside(self, nodes: Nodes) -> 'Layout':
        """The same for nodes of a branch, which know the names outside of it."""
        layout = copy.copy(self)
        layout.rows = copy.copy(self.rows)
        layout.rows.nodes = nodes
        return layout

    def tokens(self, axes: str) -> str:
        """The number of each token, those that fill up included, along axes of P, G and C."""
        rows = self.rows
        return rows.place(
            rows.along('G', axes, rows.count(self.groups)),
            (rows.number(self.chunks), self._place(axes)),
            (self.chunk, rows.along('C', axes, rows.count(self.chunk))),
        )

    def index(self, axes: str) -> str:
        """The rows [B, T, H] in an order of axes, those that fill up included."""
        rows, nodes = self.rows, self.rows.nodes
        token = self.tokens(axes)
        last = nodes.Sub(nodes.Mul(rows.tokens, rows.number(2)), rows.number(1))
        mirrored = nodes.Max(nodes.Sub(last, token), rows.number(0))
        return rows.place(
            rows.along('B', axes, rows.count(rows.images)),
            (rows.tokens, nodes.Min(token, mirrored)),
            (rows.heads, rows.along('H', axes, rows.count(rows.heads))),
        )

    def only_tokens(self, x: str, axes: str, D: int, factor: float) -> str:
        """x times a factor, and zeros for those that fill up.

        Args:
            x: rows of D channels in an order of axes P, X = B · H, G and C, in any shape.
        """
        nodes = self.rows.nodes
        is_token = nodes.Less(self.tokens(f'{axes}D'), self.rows.tokens)
        factors = nodes.Mul(nodes.Cast(is_token, to=onnx.TensorProto.FLOAT), nodes.floats(factor))
        sizes = {'P': self.chunks, 'X': -1, 'G': self.groups, 'C': self.chunk}
        product = nodes.Mul(nodes.Reshape(x, nodes.shape(*map(sizes.get, axes), D)), factors)
        return nodes.Reshape(product, nodes.Shape(x))

    def to_tokens(self, x: str, D: int) -> str:
        """[P, B, H, G, C, D], in any shape, to [B, T, H, D]."""
        rows, nodes, axes = self.rows, self.rows.nodes, 'BGPCH'
        index = rows.place(
            self._place(axes),
            (rows.images, rows.along('B', axes, rows.count(rows.images))),
            (rows.heads, rows.along('H', axes, rows.count(rows.heads))),
            (self.groups, rows.along('G', axes, rows.count(self.groups))),
            (self.chunk, rows.along('C', axes, rows.count(self.chunk))),
        )
        index_BTH = nodes.Slice(
            nodes.Reshape(index, nodes.shape(rows.images, self.filled, rows.heads)),
            nodes.ints(0),
            nodes.shape(rows.tokens),
            nodes.ints(1),
        )
        return rows.take(x, D, index_BTH)

    def of_image(self, x: str, *sizes: int) -> str:
        """[B · H · G, …] to [B · H, G, …]."""
        nodes = self.rows.nodes
        heads = nodes.Mul(self.rows.images, self.rows.heads)
        return nodes.Reshape(x, nodes.shape(heads, -1, *sizes))

    def _place(self, axes: str) -> str:
        """0 … P - 1 along P."""
        return self.rows.along('P', axes, self.rows.count(self.rows.number(self.chunks)))
