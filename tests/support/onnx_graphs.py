"""Small ONNX files with the interface of exported models, made by hand.

Without onnx, tests that import this are skipped.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mmvig.deploy.manifest import KEY, Manifest

onnx = pytest.importorskip('onnx')
helper, TensorProto = onnx.helper, onnx.TensorProto

CLASSES = ('blue', 'green', 'red')  # BGR, as a channel is the evidence for its color
SETTINGS = dict(
    classes=CLASSES,
    palette=((0, 0, 255), (0, 255, 0), (255, 0, 0)),
    steps=(),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    channel_order='BGR',
    config='by_hand',
    version='0',
    form='portable',
)
# Instances of the detector: fractions of the image as x1 y1 x2 y2.
FRACTIONS = np.array([[0.1, 0.2, 0.5, 0.9], [0.4, 0.1, 1.0, 0.6]], np.float32)
SCORES = np.array([0.9, 0.2], np.float32)
LABELS = np.array([2, 0], np.int64)


def all_nodes(graph) -> Iterator:
    """Nodes of a graph, and of the graphs inside of them."""
    for node in graph.node:
        yield node
        for item in node.attribute:
            if item.HasField('g'):
                yield from all_nodes(item.g)


def write_model(path: Path, task: str, *, masks: bool = True, **changes) -> Path:
    """A file of one task.

    The classifier gives the softmax of the mean color, the segmentor the colors as logits, the
    detector always the same two instances; masks are disks.
    """
    nodes, outputs = {
        'classification': _classifier,
        'segmentation': _segmentor,
        'detection': lambda: _detector(masks),
    }[task]()
    settings = SETTINGS | {'task': task} | changes
    if task == 'detection' and masks:
        settings.setdefault('mask_threshold', 0.5)
    return write_graph(path, nodes, outputs, {KEY: Manifest(**settings).to_json()}, task)


def write_graph(
    path: Path, nodes: list, outputs: list, metadata: dict[str, str], task: str = ''
) -> Path:
    inputs = [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['N', 3, 'Y', 'X'])]
    if task == 'detection':
        inputs.append(helper.make_tensor_value_info('image_size', TensorProto.INT64, [2]))
    graph = helper.make_graph(nodes, 'by_hand', inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _output(name: str, kind: int, shape: list) -> 'onnx.ValueInfoProto':
    return helper.make_tensor_value_info(name, kind, shape)


def _constant(name: str, value: np.ndarray) -> 'onnx.NodeProto':
    return helper.make_node('Constant', [], [name], value=onnx.numpy_helper.from_array(value))


def _classifier() -> tuple[list, list]:
    nodes = [
        helper.make_node('GlobalAveragePool', ['image'], ['mean']),
        helper.make_node('Flatten', ['mean'], ['flat']),
        helper.make_node('Softmax', ['flat'], ['scores']),
    ]
    return nodes, [_output('scores', TensorProto.FLOAT, ['N', 3])]


def _segmentor() -> tuple[list, list]:
    nodes = [helper.make_node('Identity', ['image'], ['logits'])]
    return nodes, [_output('logits', TensorProto.FLOAT, ['N', 3, 'Y', 'X'])]


def _detector(masks: bool) -> tuple[list, list]:
    order = np.array([1, 0, 1, 0])
    nodes = [
        _constant('fractions', FRACTIONS),
        _constant('order', order),
        _constant('labels', LABELS),
        helper.make_node('Gather', ['image_size', 'order'], ['whole_extent']),
        helper.make_node('Cast', ['whole_extent'], ['extent'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['fractions', 'extent'], ['boxes']),
        # Zero times the image, so that it is an input that counts.
        _constant('zero', np.zeros(1, np.float32)),
        _constant('constant_scores', SCORES),
        helper.make_node('ReduceMax', ['image'], ['largest'], keepdims=0),
        helper.make_node('Mul', ['largest', 'zero'], ['nothing']),
        helper.make_node('Add', ['constant_scores', 'nothing'], ['scores']),
    ]
    outputs = [
        _output('boxes', TensorProto.FLOAT, ['D', 4]),
        _output('scores', TensorProto.FLOAT, ['D']),
        _output('labels', TensorProto.INT64, ['D']),
    ]
    if masks:
        nodes.append(_constant('masks', np.stack([disk(28)] * 2)))
        outputs.append(_output('masks', TensorProto.FLOAT, ['D', 'M', 'M']))
    return nodes, outputs


def disk(size: int) -> np.ndarray:
    """Probabilities that fall from the center of a square, half of the way to its border."""
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    return (1 / (1 + np.exp(8 * (np.hypot(y, x) - 0.7)))).astype(np.float32)
