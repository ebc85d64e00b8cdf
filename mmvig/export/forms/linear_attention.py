"""`bi_gla` by the operator LinearAttention, which walks in one direction: ONNX's or onnxruntime's.

Both have the same inputs and attributes. onnxruntime's kernel takes a half to a fifth of the time
where the tokens of a head follow each other in memory. So a sequence is one head of one image in
one direction, all of them go to one call, and the rows [T, H] of tokens and heads are gathered into
that order and back. The walk from the last token to the first is one over the reversed tokens.

Letters: B batch, T tokens, H heads, D channels of a head; X = directions · B · H sequences.
"""

import numpy as np

from .attention import Attention, negative_log_sigmoid
from .nodes import Nodes


def standard(nodes: Nodes, call: Attention) -> str:
    """By the operator of ai.onnx, opset 27."""
    return _by_operator(nodes, call, domain='')


def contrib(nodes: Nodes, call: Attention) -> str:
    """By the operator of com.microsoft."""
    return _by_operator(nodes, call, domain='com.microsoft')


def _by_operator(nodes: Nodes, call: Attention, domain: str) -> str:
    order = Order(nodes, call)
    walks = [order.walk(reverse) for _, reverse in call.directions]
    decays = []
    for (gate, _), walk in zip(call.directions, walks, strict=True):
        decay = gate
        if call.normalizer is not None:
            opposite = negative_log_sigmoid(nodes, gate)
            decay = nodes.Mul(opposite, nodes.floats(-1 / call.normalizer))
        decays.append(order.gather(decay, call.key_width, walk))
    walk_XT = _concat(nodes, walks)
    output_XTV, _ = nodes.LinearAttention(
        order.gather(call.q, call.key_width, walk_XT),
        order.gather(call.k, call.key_width, walk_XT),
        order.gather(call.v, call.value_width, walk_XT),
        '',  # no state before the first token
        _concat(nodes, decays),
        outputs=2,
        q_num_heads=1,
        kv_num_heads=1,
        update_rule='gated',
        scale=call.scale / len(call.directions),
        domain=domain,
    )
    outputs = [
        order.gather(output_XTV, call.value_width, order.way_back(reverse, place))
        for place, (_, reverse) in enumerate(call.directions)
    ]
    return nodes.Add(*outputs) if len(outputs) == 2 else outputs[0]


class Order:
    """Where the rows of D channels are: [B, T, H] outside of the operator, [X, T] inside."""

    def __init__(self, nodes: Nodes, call: Attention) -> None:
        self.nodes = nodes
        shape = nodes.Shape(call.q)
        images, self.tokens = (nodes.Gather(shape, self._number(axis)) for axis in (0, 1))
        self.heads = self._number(call.heads)
        self.sequences = nodes.Mul(images, self.heads)  # of one direction
        self.image_B11 = self._axis(self._count(images), -1, 1, 1)
        self.head_H = nodes.ints(*range(call.heads))

    def walk(self, reverse: bool) -> str:
        """Which row [B, T, H] is the next, [B · H, T]."""
        nodes = self.nodes
        head_H1 = self._axis(self.head_H, -1, 1)
        token_BIT = nodes.Add(nodes.Mul(self.image_B11, self.tokens), self._tokens(reverse))
        row_BHT = nodes.Add(nodes.Mul(token_BIT, self.heads), head_H1)
        length = nodes.Reshape(self.tokens, nodes.ints(1))
        return nodes.Reshape(row_BHT, nodes.Concat(nodes.ints(-1), length, axis=0))

    def way_back(self, reverse: bool, place: int) -> str:
        """Which row [X, T] is the result of each, [B, T, H], for the direction at this place."""
        nodes = self.nodes
        sequence_BIH = nodes.Add(nodes.Mul(self.image_B11, self.heads), self.head_H)
        if place:
            sequence_BIH = nodes.Add(sequence_BIH, self.sequences)
        token_T1 = self._axis(self._tokens(reverse), -1, 1)
        return nodes.Add(nodes.Mul(sequence_BIH, self.tokens), token_T1)

    def gather(self, x: str, D: int, rows: str) -> str:
        """The rows of D channels of x, [*rows, D]."""
        nodes = self.nodes
        return nodes.Gather(nodes.Reshape(x, nodes.ints(-1, D)), rows)

    def _tokens(self, reverse: bool) -> str:
        nodes, one = self.nodes, self._number(1)
        if reverse:
            return nodes.Range(nodes.Sub(self.tokens, one), self._number(-1), self._number(-1))
        return self._count(self.tokens)

    def _count(self, size: str) -> str:
        return self.nodes.Range(self._number(0), size, self._number(1))

    def _axis(self, x: str, *shape: int) -> str:
        return self.nodes.Reshape(x, self.nodes.ints(*shape))

    def _number(self, value: int) -> str:
        return self.nodes.constant(np.array(value, np.int64))


def _concat(nodes: Nodes, parts: list[str]) -> str:
    return nodes.Concat(*parts, axis=0) if len(parts) > 1 else parts[0]
