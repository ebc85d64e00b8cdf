"""Equal graphs with fewer passes over memory, where runtimes do not find them themselves."""

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper


def simplify(graph: onnx.GraphProto) -> None:
    """Rewrite a traced graph in place; it must have the shapes of its intermediate results."""
    use_quotients(graph)
    halve_last(graph)
    separate_products(graph)


def use_quotients(graph: onnx.GraphProto) -> None:
    """x / √y for x · (1 / √y), in which onnxruntime knows an RMS norm and runs it as one."""
    readers = _readers(graph)
    roots = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'Reciprocal'}
    replaced = set()
    for node in graph.node:
        if node.op_type == 'Mul':
            factors = list(node.input)
            for inverse, other in (factors, factors[::-1]):
                if inverse in roots and readers[inverse] == 1:
                    node.op_type = 'Div'
                    node.input[:] = [other, roots[inverse]]
                    replaced.add(inverse)
                    break
    _keep(graph, [node for node in graph.node if node.output[0] not in replaced])


def halve_last(graph: onnx.GraphProto) -> None:
    """(x · y) · ½ for x · (½ · y), in which onnxruntime knows a GELU and runs it as one.

    No digit changes: half of a number is exact.
    """
    readers = _readers(graph)
    places = {name: i for i, node in enumerate(graph.node) for name in node.output}
    halves = {item.name for item in graph.initializer if _is_half(item)}
    for node in graph.node:
        if node.op_type != 'Mul':
            continue
        for x, product in (node.input, node.input[::-1]):
            is_made = product in places and readers[product] == 1
            inner = graph.node[places[product]] if is_made else None
            if inner is None or inner.op_type != 'Mul' or places.get(x, -1) > places[product]:
                continue
            half, y = sorted(inner.input, key=lambda name: name not in halves)
            if half in halves:
                inner.input[:] = [x, y]
                node.input[:] = [product, half]
                break


def _is_half(constant: onnx.TensorProto) -> bool:
    return not constant.dims and numpy_helper.to_array(constant) == 0.5


def separate_products(graph: onnx.GraphProto) -> None:
    """A product for each part of a linear layer's output that is split, in place of a copy."""
    readers = _readers(graph)
    makers = {name: node for node in graph.node for name in node.output}
    constants = {item.name: item for item in graph.initializer}
    ranks = {item.name: len(item.type.tensor_type.shape.dim) for item in graph.value_info}
    replacements = {}  # by the name of the product: its nodes are written where it stood
    removed = set()
    for split in graph.node:
        if split.op_type != 'Split':
            continue
        last = makers.get(split.input[0])
        product, bias = last, None
        if last is not None and last.op_type == 'Add' and last.input[1] in constants:
            product, bias = makers.get(last.input[0]), constants[last.input[1]]
        fits = (
            product is not None
            and product.op_type == 'MatMul'
            and product.input[1] in constants
            and len(constants[product.input[1]].dims) == 2
            and (bias is None or list(bias.dims) == constants[product.input[1]].dims[1:])
            and readers[split.input[0]] == readers[product.output[0]] == 1
        )
        if not fits or not _splits_last_axis(split, ranks):
            continue
        weight = numpy_helper.to_array(constants[product.input[1]])
        ends = _ends(split, constants, weight.shape[1])
        if ends is None:
            continue
        weights = np.split(weight, ends, axis=1)
        biases = [None] * len(weights)
        if bias is not None:
            biases = np.split(numpy_helper.to_array(bias), ends)
        replacements[split.output[0]] = [
            node
            for output, weight, part in zip(split.output, weights, biases, strict=True)
            for node in _linear(graph, product.input[0], weight, part, output)
        ]
        removed |= {product.output[0], last.output[0]}
    written = []
    for node in graph.node:
        if node.output[0] in replacements:
            written += replacements[node.output[0]]
        elif node.output[0] not in removed:
            written.append(node)
    _keep(graph, written)


def _splits_last_axis(split: onnx.NodeProto, ranks: dict[str, int]) -> bool:
    axis = next((item.i for item in split.attribute if item.name == 'axis'), 0)
    return axis in (-1, ranks.get(split.input[0], 0) - 1)


def _ends(split: onnx.NodeProto, constants: dict, width: int) -> list[int] | None:
    """Where the parts end but for the last one; None if the graph does not say."""
    if len(split.input) == 1:
        sizes = [width // len(split.output)] * len(split.output)
    elif split.input[1] in constants:
        sizes = numpy_helper.to_array(constants[split.input[1]]).tolist()
    else:
        return None
    return np.cumsum(sizes)[:-1].tolist() if sum(sizes) == width else None


def _linear(
    graph: onnx.GraphProto, x: str, weight: np.ndarray, bias: np.ndarray | None, output: str
) -> list[onnx.NodeProto]:
    weight_name, bias_name, product = f'{output}_weight', f'{output}_bias', f'{output}_product'
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weight), weight_name))
    if bias is None:
        return [helper.make_node('MatMul', [x, weight_name], [output], name=product)]
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(bias), bias_name))
    return [
        helper.make_node('MatMul', [x, weight_name], [product], name=product),
        helper.make_node('Add', [product, bias_name], [output], name=output),
    ]


def _readers(graph: onnx.GraphProto) -> Counter:
    """How often each name is read, by nodes or as a result of the graph."""
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    return readers


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """The nodes of the graph, and of its constants those that are read."""
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    readers = _readers(graph)
    for node in nodes:
        for item in node.attribute:
            if item.HasField('g'):
                readers.update(_readers(item.g))
    read = [item for item in graph.initializer if readers[item.name]]
    read = [onnx.TensorProto.FromString(item.SerializeToString()) for item in read]
    del graph.initializer[:]
    graph.initializer.extend(read)
