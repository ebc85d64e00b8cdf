"""States handed on from chunk to chunk, by the operator Scan.

Of chunks in G rows of P, a first walk takes G steps, all P columns at once; each column starts from
nothing. A second walk takes P steps over what left the columns, and what it carries into a column
is added to all of its chunks. That is 2 √N steps for N chunks, and no number of chunks is fixed.
"""

from collections.abc import Sequence

import onnx
from onnx import helper

from .nodes import Nodes


def entering_states(
    nodes: Nodes, states: Sequence[str], totals: Sequence[str], reverse: Sequence[bool]
) -> list[str]:
    """The states that enter the chunks, [G, P, BH, K, V], in each direction.

    `states` [G, P, BH, K, V] are what the chunks add, `totals` [G, P, BH, K, 1] their decays. Rows
    follow each other within a column.
    """
    zeros = [_fill(nodes, _first(nodes, state), 0.0) for state in states]
    ones = [_fill(nodes, _first(nodes, total), 1.0) for total in totals]
    first = _walk(nodes, zeros, states, totals, reverse, reach_from=ones)
    carried = _walk(
        nodes, [_first(nodes, zero) for zero in zeros], first.left, first.decay, reverse
    ).entering
    return [
        nodes.Add(entering, nodes.Mul(reach, carry))
        for entering, reach, carry in zip(first.entering, first.reach, carried, strict=True)
    ]


class _Walk:
    """Results of a walk, one for each direction.

    Attributes:
        left: states after the last step.
        decay: products of the decays of all steps, if there was a `reach_from`.
        entering: states before each step, stacked.
        reach: products of the decays before each step, stacked, likewise.
    """

    def __init__(self, outputs: list[str], directions: int, has_reach: bool) -> None:
        parts = [outputs[i : i + directions] for i in range(0, len(outputs), directions)]
        if has_reach:
            self.left, self.decay, self.entering, self.reach = parts
        else:
            self.left, self.entering = parts


def _walk(
    nodes: Nodes,
    start: Sequence[str],
    states: Sequence[str],
    totals: Sequence[str],
    reverse: Sequence[bool],
    reach_from: Sequence[str] = (),
) -> _Walk:
    """entering_{n+1} = total_n · entering_n + state_n along the first axis."""
    directions = len(start)
    step = Nodes(f'{nodes.name()}_step', nodes.constants)
    carried, reach, own, total = (
        [step.name() for _ in range(count)]
        for count in (directions, len(reach_from), directions, directions)
    )
    left = [step.Add(own[i], step.Mul(total[i], carried[i])) for i in range(directions)]
    decay = [step.Mul(total[i], reach[i]) for i in range(len(reach))]
    entering = [step.Identity(name) for name in [*carried, *reach]]
    body = helper.make_graph(
        step.nodes,
        step.prefix,
        [_value(name) for name in [*carried, *reach, *own, *total]],
        [_value(name) for name in [*left, *decay, *entering]],
    )
    backwards = [int(value) for value in reverse]
    outputs = nodes.Scan(
        *start,
        *reach_from,
        *states,
        *totals,
        outputs=len(left) + len(decay) + len(entering),
        body=body,
        num_scan_inputs=2 * directions,
        scan_input_directions=backwards * 2,
        scan_output_directions=backwards * (2 if reach_from else 1),
    )
    return _Walk(outputs, directions, bool(reach_from))


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def _first(nodes: Nodes, x: str) -> str:
    """The first entry along the first axis."""
    return nodes.Squeeze(nodes.Slice(x, nodes.ints(0), nodes.ints(1), nodes.ints(0)), nodes.ints(0))


def _fill(nodes: Nodes, like: str, value: float) -> str:
    return nodes.Expand(nodes.floats(value), nodes.Shape(like))
