"""Indices for Gather: a row is the D channels of one head of one token."""

import numpy as np

from .attention import Attention
from .nodes import Nodes


class Rows:
    """The rows [B, T, H] of q, k, v, gates and o, for sizes that no file of a model knows.

    Sizes are scalars, digits of a place are along one axis each of those that a letter names.

    Attributes:
        images, tokens, heads: B, T and H.
    """

    def __init__(self, nodes: Nodes, call: Attention) -> None:
        self.nodes = nodes
        shape = nodes.Shape(call.q)
        self.images, self.tokens = (nodes.Gather(shape, self.number(axis)) for axis in (0, 1))
        self.heads = self.number(call.heads)

    def number(self, value: int) -> str:
        return self.nodes.constant(np.array(value, np.int64))

    def share(self, size: str, parts: str) -> str:
        """The quotient of two sizes, rounded up."""
        nodes = self.nodes
        return nodes.Div(nodes.Sub(nodes.Add(size, parts), self.number(1)), parts)

    def count(self, size: str) -> str:
        """0, 1, … below a size."""
        return self.nodes.Range(self.number(0), size, self.number(1))

    def along(self, axis: str, axes: str, digits: str) -> str:
        """Digits as a tensor of all `axes`, of size 1 along the others."""
        return self.nodes.Reshape(digits, self.nodes.ints(*(-1 if a == axis else 1 for a in axes)))

    def place(self, first: str, *others: tuple[str, str]) -> str:
        """The place in row-major order, (first · n + x) · m + y of others (n, x) and (m, y)."""
        for size, digits in others:
            first = self.nodes.Add(self.nodes.Mul(first, size), digits)
        return first

    def take(self, x: str, D: int, index: str) -> str:
        """[*index, D], the rows of x at an index."""
        return self.nodes.Gather(self.nodes.Reshape(x, self.nodes.ints(-1, D)), index)
