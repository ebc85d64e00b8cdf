"""`bi_gla` by the operator LinearAttention, which walks in one direction: ONNX's or onnxruntime's.

Both have the same inputs and attributes. onnxruntime's kernel takes a half to a quarter of the time
where the tokens of a head follow each other in memory. So a sequence is one head of one image in
one direction, all of them go to one call, and rows are gathered into that order and back. The walk
from the last token to the first is one over the reversed tokens.

Letters: B batch, T tokens, H heads, D channels of a head; X = directions · B · H sequences.
"""

from .attention import Attention, negative_log_sigmoid
from .nodes import Nodes
from .rows import Rows


def standard(nodes: Nodes, call: Attention) -> str:
    """By the operator of ai.onnx, opset 27."""
    return _by_operator(nodes, call, domain='')


def contrib(nodes: Nodes, call: Attention) -> str:
    """By the operator of com.microsoft."""
    return _by_operator(nodes, call, domain='com.microsoft')


def _by_operator(nodes: Nodes, call: Attention, domain: str) -> str:
    rows = Rows(nodes, call)
    walks = [_walk(rows, reverse) for _, reverse in call.directions]
    decays = []
    for (gate, _), walk in zip(call.directions, walks, strict=True):
        if call.normalizer is not None:
            opposite = negative_log_sigmoid(nodes, gate)
            gate = nodes.Mul(opposite, nodes.floats(-1 / call.normalizer))
        decays.append(rows.take(gate, call.key_width, walk))
    walk_XT = _concat(nodes, walks)
    output_XTV, _ = nodes.LinearAttention(
        rows.take(call.q, call.key_width, walk_XT),
        rows.take(call.k, call.key_width, walk_XT),
        rows.take(call.v, call.value_width, walk_XT),
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
        rows.take(output_XTV, call.value_width, _way_back(rows, reverse, place))
        for place, (_, reverse) in enumerate(call.directions)
    ]
    return nodes.Add(*outputs) if len(outputs) == 2 else outputs[0]


def _walk(rows: Rows, reverse: bool) -> str:
    """The row [B, T, H] that comes next, [B · H, T]."""
    nodes = rows.nodes
    index_BHT = rows.place(
        rows.along('B', 'BHT', rows.count(rows.images)),
        (rows.tokens, rows.along('T', 'BHT', _tokens(rows, reverse))),
        (rows.heads, rows.along('H', 'BHT', rows.count(rows.heads))),
    )
    length = nodes.Reshape(rows.tokens, nodes.ints(1))
    return nodes.Reshape(index_BHT, nodes.Concat(nodes.ints(-1), length, axis=0))


def _way_back(rows: Rows, reverse: bool, direction: int) -> str:
    """The row [X, T] of each result, [B, T, H], in the first or second direction."""
    return rows.place(
        rows.number(direction),
        (rows.images, rows.along('B', 'BTH', rows.count(rows.images))),
        (rows.heads, rows.along('H', 'BTH', rows.count(rows.heads))),
        (rows.tokens, rows.along('T', 'BTH', _tokens(rows, reverse))),
    )


def _tokens(rows: Rows, reverse: bool) -> str:
    if not reverse:
        return rows.count(rows.tokens)
    last = rows.nodes.Sub(rows.tokens, rows.number(1))
    return rows.nodes.Range(last, rows.number(-1), rows.number(-1))


def _concat(nodes: Nodes, parts: list[str]) -> str:
    return nodes.Concat(*parts, axis=0) if len(parts) > 1 else parts[0]
