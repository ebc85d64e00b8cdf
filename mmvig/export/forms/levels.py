"""States handed on from group to group of tokens, by products of matrices in levels.

What a group adds to the state reaches a later group with the decays of all groups between them. Of
FAN groups in a row these weights are one small matrix for each key channel; one more row of it is
what the FAN groups together add. Those are the groups of the next level, and after LEVELS one
matrix takes all that are left. Cost and memory are linear in the tokens while these are few.

The operators Scan and Loop would be shorter, but when image sizes change, OpenVINO 2026.4 goes on
reading where their inputs were before, and what it finds there has nothing to do with the image.

Letters: X images · heads, N groups of one of them, Y sets of F = FAN groups, E = F + 1, K key
channels, V value width.
"""

import numpy as np
import onnx

from .nodes import Nodes

FAN = 8
LEVELS = 1


def entering_states(
    nodes: Nodes,
    state_XNKV: str,
    log_XNK: str,
    reverse: bool,
    sizes: tuple[int, int],
    level: int = 0,
) -> str:
    """The state that enters each group, [X, N, K, V].

    Args:
        state_XNKV: what each group adds to the state that leaves it.
        log_XNK: the logarithm of the decay that a group is.
        reverse: from the last group to the first.
        sizes: K and V.
    """
    K, V = sizes
    if level == LEVELS:
        return _among_all(nodes, state_XNKV, log_XNK, reverse, K)
    shape = nodes.Shape(state_XNKV)
    images, count = (nodes.Slice(shape, nodes.ints(i), nodes.ints(i + 1)) for i in (0, 1))
    missing = nodes.Mod(nodes.Neg(count), nodes.ints(FAN))

    def sets(x_XND: str, *widths: int) -> str:
        """[X, N, …] to [Y, F, …], filled up with zeros."""
        rank = 2 + len(widths)
        after = nodes.ints(*[0] * (rank - 2))
        padding = nodes.Concat(nodes.ints(*[0] * (rank + 1)), missing, after, axis=0)
        return nodes.Reshape(nodes.Pad(x_XND, padding), nodes.ints(-1, FAN, *widths))

    def of_image(x: str, *widths: int) -> str:
        """[Y, …] to [X, N, …]."""
        return nodes.Reshape(x, nodes.Concat(images, nodes.ints(-1, *widths), axis=0))

    state_YKFV = nodes.Transpose(sets(state_XNKV, K, V), perm=[0, 2, 1, 3])
    log_YKF = nodes.Transpose(sets(log_XNK, K), perm=[0, 2, 1])
    weights = _decays(nodes, log_YKF, *_between(FAN, reverse))
    weights_YKEF = nodes.Reshape(weights, nodes.ints(-1, K, FAN + 1, FAN))
    own_YKFV, left_YK1V = nodes.Split(
        nodes.MatMul(weights_YKEF, state_YKFV), nodes.ints(FAN, 1), axis=2, outputs=2
    )
    carried = entering_states(
        nodes,
        of_image(left_YK1V, K, V),
        of_image(nodes.ReduceSum(log_YKF, nodes.ints(2), keepdims=0), K),
        reverse,
        sizes,
        level + 1,
    )
    reach = nodes.Exp(nodes.MatMul(log_YKF, nodes.floats(_before(FAN, reverse).T)))
    reach_YKF1 = nodes.Reshape(reach, nodes.ints(-1, K, FAN, 1))
    carried_YK1V = nodes.Reshape(carried, nodes.ints(-1, K, 1, V))
    entering_YKFV = nodes.Add(own_YKFV, nodes.Mul(reach_YKF1, carried_YK1V))
    entering_XNKV = of_image(nodes.Transpose(entering_YKFV, perm=[0, 2, 1, 3]), K, V)
    return nodes.Slice(entering_XNKV, nodes.ints(0), count, nodes.ints(1))


def _among_all(nodes: Nodes, state_XNKV: str, log_XNK: str, reverse: bool, K: int) -> str:
    """The same in one product, for a number of groups unknown when the file is written."""
    count = nodes.Slice(nodes.Shape(state_XNKV), nodes.ints(1), nodes.ints(2))
    one = nodes.constant(np.array(1, np.int64))
    places = nodes.Range(
        nodes.constant(np.array(0, np.int64)), nodes.Squeeze(count, nodes.ints(0)), one
    )
    to = nodes.Reshape(places, nodes.ints(1, -1, 1))
    source = nodes.Reshape(places, nodes.ints(1, 1, -1))
    middle = nodes.Reshape(places, nodes.ints(-1, 1, 1))
    less = (lambda x, y: nodes.Less(y, x)) if reverse else nodes.Less
    between = nodes.And(less(source, middle), less(middle, to))
    square = nodes.Concat(count, nodes.ints(-1), axis=0)
    sums = nodes.Reshape(nodes.Cast(between, to=onnx.TensorProto.FLOAT), square)
    mask = nodes.Reshape(nodes.Cast(less(source, to), to=onnx.TensorProto.FLOAT), nodes.ints(1, -1))
    log_XKN = nodes.Transpose(log_XNK, perm=[0, 2, 1])
    weights = nodes.Mul(nodes.Exp(nodes.MatMul(log_XKN, sums)), mask)
    shape = nodes.Concat(nodes.ints(-1, K), count, count, axis=0)
    state_XKNV = nodes.Transpose(state_XNKV, perm=[0, 2, 1, 3])
    entering_XKNV = nodes.MatMul(nodes.Reshape(weights, shape), state_XKNV)
    return nodes.Transpose(entering_XKNV, perm=[0, 2, 1, 3])


def _before(count: int, backwards: bool) -> np.ndarray:
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
