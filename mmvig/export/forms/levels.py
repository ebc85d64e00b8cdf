"""States handed on from group to group of tokens, by products of matrices in levels.

What a group adds to the state reaches a later group with the decays of all groups between them. Of
FAN groups in a row these weights are one small matrix for each key channel; one more row of it is
what the FAN groups together add. Those are the groups of the next level, and after LEVELS one
matrix takes all that are left. Cost and memory are linear in the tokens while these are few.

The operators Scan and Loop would be shorter, but when image sizes change, OpenVINO 2026.4 goes on
reading where their inputs were before, and what it finds there has nothing to do with the image.

Letters: X images · heads, N groups of one of them, Y sets of F = FAN groups, J directions, K key
channels, L = J · K, V value width.
"""

from collections.abc import Sequence

import numpy as np
import onnx

from .nodes import Nodes

FAN = 8
LEVELS = 2


def entering_states(
    nodes: Nodes,
    state_XNLV: str,
    logs_XNK: Sequence[str],
    reverse: Sequence[bool],
    sizes: tuple[int, int],
    level: int = 0,
) -> str:
    """The state that enters each group, [X, N, L, V].

    Args:
        state_XNLV: what each group adds to the state that leaves it.
        logs_XNK: of each direction, the logarithm of the decay that a group is.
        reverse: whether a direction goes from the last group to the first.
        sizes: K and V.
    """
    K, V = sizes
    L = K * len(reverse)
    if level == LEVELS:
        return _among_all(nodes, state_XNLV, logs_XNK, reverse, sizes)
    shape = nodes.Shape(state_XNLV)
    images, count = (nodes.Slice(shape, nodes.ints(i), nodes.ints(i + 1)) for i in (0, 1))
    missing = nodes.Mod(nodes.Neg(count), nodes.ints(FAN))

    def sets(x_XND: str, *widths: int) -> str:
        """[X, N, …] to [Y, F, …], filled up with zeros."""
        rank = 2 + len(widths)
        after = nodes.ints(*[0] * (rank - 2))
        padding = nodes.Concat(nodes.ints(*[0] * (rank + 1)), missing, after, axis=0)
        return nodes.Reshape(nodes.Pad(x_XND, padding), nodes.ints(-1, FAN, *widths))

    state_YLFV = nodes.Transpose(sets(state_XNLV, L, V), perm=[0, 2, 1, 3])
    logs_YKF = [nodes.Transpose(sets(log, K), perm=[0, 2, 1]) for log in logs_XNK]
    weights = [
        _decays(nodes, log, *_between(FAN, backwards))
        for log, backwards in zip(logs_YKF, reverse, strict=True)
    ]
    weights_YLEF = nodes.Reshape(join(nodes, weights, 1), nodes.ints(-1, L, FAN + 1, FAN))
    own_YLFV, left_YL1V = nodes.Split(
        nodes.MatMul(weights_YLEF, state_YLFV), nodes.ints(FAN, 1), axis=2, outputs=2
    )
    carried = entering_states(
        nodes,
        nodes.Reshape(left_YL1V, nodes.Concat(images, nodes.ints(-1, L, V), axis=0)),
        [
            nodes.Reshape(
                nodes.ReduceSum(log, nodes.ints(2), keepdims=0),
                nodes.Concat(images, nodes.ints(-1, K), axis=0),
            )
            for log in logs_YKF
        ],
        reverse,
        sizes,
        level + 1,
    )
    reach = [
        nodes.Exp(nodes.MatMul(log, nodes.floats(before(FAN, backwards).T)))
        for log, backwards in zip(logs_YKF, reverse, strict=True)
    ]
    reach_YLF1 = nodes.Reshape(join(nodes, reach, 1), nodes.ints(-1, L, FAN, 1))
    carried_YL1V = nodes.Reshape(carried, nodes.ints(-1, L, 1, V))
    entering_YLFV = nodes.Add(own_YLFV, nodes.Mul(reach_YLF1, carried_YL1V))
    entering_YFLV = nodes.Transpose(entering_YLFV, perm=[0, 2, 1, 3])
    entering = nodes.Reshape(entering_YFLV, nodes.Concat(images, nodes.ints(-1, L, V), axis=0))
    return nodes.Slice(entering, nodes.ints(0), count, nodes.ints(1))


def _among_all(
    nodes: Nodes,
    state_XNLV: str,
    logs_XNK: Sequence[str],
    reverse: Sequence[bool],
    sizes: tuple[int, int],
) -> str:
    """The same in one product, for a number of groups unknown when the file is written."""
    K, _ = sizes
    count = nodes.Slice(nodes.Shape(state_XNLV), nodes.ints(1), nodes.ints(2))
    one = nodes.constant(np.array(1, np.int64))
    places = nodes.Range(
        nodes.constant(np.array(0, np.int64)), nodes.Squeeze(count, nodes.ints(0)), one
    )
    to = nodes.Reshape(places, nodes.ints(1, -1, 1))
    source = nodes.Reshape(places, nodes.ints(1, 1, -1))
    middle = nodes.Reshape(places, nodes.ints(-1, 1, 1))
    square = nodes.Concat(count, nodes.ints(-1), axis=0)
    weights = []
    for log_XNK, backwards in zip(logs_XNK, reverse, strict=True):
        less = (lambda x, y: nodes.Less(y, x)) if backwards else nodes.Less
        between = nodes.And(less(source, middle), less(middle, to))
        sums = nodes.Reshape(nodes.Cast(between, to=onnx.TensorProto.FLOAT), square)
        mask = nodes.Reshape(
            nodes.Cast(less(source, to), to=onnx.TensorProto.FLOAT), nodes.ints(1, -1)
        )
        log_XKN = nodes.Transpose(log_XNK, perm=[0, 2, 1])
        weights.append(nodes.Mul(nodes.Exp(nodes.MatMul(log_XKN, sums)), mask))
    shape = nodes.Concat(nodes.ints(-1, K * len(reverse)), count, count, axis=0)
    weights_XLNN = nodes.Reshape(join(nodes, weights, 1), shape)
    state_XLNV = nodes.Transpose(state_XNLV, perm=[0, 2, 1, 3])
    return nodes.Transpose(nodes.MatMul(weights_XLNN, state_XLNV), perm=[0, 2, 1, 3])


def join(nodes: Nodes, parts: Sequence[str], axis: int) -> str:
    return nodes.Concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


def before(count: int, backwards: bool) -> np.ndarray:
    """Which groups a state has passed when it enters another, [to, group]."""
    passed = np.tri(count, k=-1, dtype=np.float32)
    return passed.T if backwards else passed


def _between(count: int, backwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which groups lie between two, [to · from, group], and which pairs there are, [to · from].

    There is one more to go to, behind the last group.
    """
    ends = [*range(count), -1 if backwards else count]
    to, source, middle = np.ix_(ends, range(count), range(count))
    if backwards:
        inside, exists = (to < middle) & (middle < source), to < source
    else:
        inside, exists = (source < middle) & (middle < to), source < to
    return inside.reshape(-1, count).astype(np.float32), exists.reshape(-1).astype(np.float32)


def _decays(nodes: Nodes, log_YKF: str, sums: np.ndarray, exists: np.ndarray) -> str:
    """Decays between the groups of a set, [Y, K, to · from], 0 where there is no way."""
    decays = nodes.Exp(nodes.MatMul(log_YKF, nodes.floats(sums.T)))
    return nodes.Mul(decays, nodes.floats(exists))
