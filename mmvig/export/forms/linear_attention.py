"""`bi_gla` by the operator LinearAttention, which walks in one direction: ONNX's or onnxruntime's.

Both have the same inputs and attributes, with heads and channels in one axis. The walk from the
last token to the first is one over the reversed tokens.
"""

from .attention import Attention, negative_log_sigmoid
from .nodes import Nodes

LAST, BEFORE_FIRST = -1, -(2**63) + 1


def standard(nodes: Nodes, call: Attention) -> str:
    """By the operator of ai.onnx, opset 27."""
    return _by_operator(nodes, call, domain='')


def contrib(nodes: Nodes, call: Attention) -> str:
    """By the operator of com.microsoft."""
    return _by_operator(nodes, call, domain='com.microsoft')


def _by_operator(nodes: Nodes, call: Attention, domain: str) -> str:
    q, k, v = (_pack(nodes, x) for x in (call.q, call.k, call.v))
    outputs = []
    for gate, reverse in call.directions:
        decay = _pack(nodes, gate)
        if call.normalizer is not None:
            opposite = negative_log_sigmoid(nodes, decay)
            decay = nodes.Mul(opposite, nodes.floats(-1 / call.normalizer))
        inputs = [_reverse(nodes, x) if reverse else x for x in (q, k, v, decay)]
        output, _ = nodes.LinearAttention(
            *inputs[:3],
            '',  # no state before the first token
            inputs[3],
            outputs=2,
            q_num_heads=call.heads,
            kv_num_heads=call.heads,
            update_rule='gated',
            scale=call.scale / len(call.directions),
            domain=domain,
        )
        outputs.append(_reverse(nodes, output) if reverse else output)
    mean = nodes.Add(*outputs) if len(outputs) == 2 else outputs[0]
    return nodes.Reshape(mean, nodes.ints(0, 0, call.heads, call.value_width))


def _pack(nodes: Nodes, x_BTHD: str) -> str:
    return nodes.Reshape(x_BTHD, nodes.ints(0, 0, -1))


def _reverse(nodes: Nodes, x_BTC: str) -> str:
    ends = (nodes.ints(LAST), nodes.ints(BEFORE_FIRST), nodes.ints(1), nodes.ints(-1))
    return nodes.Slice(x_BTC, *ends)
