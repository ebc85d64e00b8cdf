"""One call of `bi_gla` as it stands in a traced graph."""

from typing import NamedTuple

import onnx

from .nodes import Nodes


class Direction(NamedTuple):
    """One walk over the tokens.

    Attributes:
        gate: name of its gates, or of the logits that they are made of.
        reverse: from the last token to the first.
    """

    gate: str
    reverse: bool


class Attention(NamedTuple):
    """Names and sizes of a call; all tensors are float32.

    Attributes:
        q, k, v: names, [B, T, H, K] and [B, T, H, V].
        directions: one or two; the output is their mean.
        heads, key_width, value_width: H, K and V.
        scale: factor on the output.
        normalizer: None, or gates are logsigmoid(logits) / normalizer.
    """

    q: str
    k: str
    v: str
    directions: tuple[Direction, ...]
    heads: int
    key_width: int
    value_width: int
    scale: float
    normalizer: float | None

    @classmethod
    def of(cls, node: onnx.NodeProto) -> 'Attention':
        """The call that a node of `trace` stands for."""
        settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        q, k, v, *gates = node.input
        return cls(
            q=q,
            k=k,
            v=v,
            directions=tuple(
                Direction(gate, reverse)
                for gate, reverse in zip(gates, (False, True), strict=False)
                if gate
            ),
            heads=settings['heads'],
            key_width=settings['key_width'],
            value_width=settings['value_width'],
            scale=settings['scale'],
            normalizer=settings['normalizer'] or None,
        )


def negative_log_sigmoid(nodes: Nodes, x: str) -> str:
    """-logsigmoid(x) = max(-x, 0) + log(1 + exp(-|x|)), which no logit overflows.

    The operator Softplus is the same, but takes longer than these together in onnxruntime.
    """
    rest = nodes.Log(nodes.Add(nodes.Exp(nodes.Neg(nodes.Abs(x))), nodes.floats(1)))
    return nodes.Add(nodes.Relu(nodes.Neg(x)), rest)
