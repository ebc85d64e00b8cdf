"""Rewritten graphs compute what they did before."""

import copy
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from mmvig.export.simplify import halve_last, separate_products, use_quotients

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4)).astype(np.float32)
WEIGHT = RNG.normal(size=(4, 6)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)


def model(nodes, outputs, **constants) -> onnx.ModelProto:
    """A graph of x [2, 3, 4] with the shapes of its intermediate results."""
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        'graph',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    return onnx.shape_inference.infer_shapes(made)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(model)
    return ReferenceEvaluator(model).run(None, {'x': X})


def assert_equal_after(rewrite, model: onnx.ModelProto) -> Counter:
    """Returns how often each operator is there after `rewrite`."""
    before = run(model)
    rewrite(model.graph)
    for old, new in zip(before, run(model), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-6)
    read = {name for node in model.graph.node for name in node.input}
    assert {item.name for item in model.graph.initializer} <= read, 'no constant is left over'
    return Counter(node.op_type for node in model.graph.node)


PRODUCT = ('MatMul', ['x', 'w'], ['y'])
SPLIT = ('Split', ['y', 'sizes'], ['a', 'b'], {'axis': 2})
SIZES = np.array([2, 4])


@pytest.mark.parametrize('axis', [2, -1])
def test_a_split_product_becomes_two(axis):
    split = (*SPLIT[:3], {'axis': axis})
    found = assert_equal_after(
        separate_products, model([PRODUCT, split], ['a', 'b'], w=WEIGHT, sizes=SIZES)
    )
    assert found == {'MatMul': 2}


def test_a_split_into_equal_parts_with_a_bias():
    nodes = [
        ('MatMul', ['x', 'w'], ['z']),
        ('Add', ['z', 'bias'], ['y']),
        ('Split', ['y'], ['a', 'b', 'c'], {'axis': 2, 'num_outputs': 3}),
    ]
    found = assert_equal_after(
        separate_products, model(nodes, ['a', 'b', 'c'], w=WEIGHT, bias=BIAS)
    )
    assert found == {'MatMul': 3, 'Add': 3}


def test_what_else_reads_the_product_keeps_it():
    nodes = [PRODUCT, SPLIT, ('Relu', ['y'], ['c'])]
    found = assert_equal_after(
        separate_products, model(nodes, ['a', 'b', 'c'], w=WEIGHT, sizes=SIZES)
    )
    assert found['Split'] == 1


def test_a_split_along_another_axis_stays():
    """Of which the sizes add up to the width, too."""
    square = RNG.normal(size=(4, 3)).astype(np.float32)
    split = (*SPLIT[:3], {'axis': 1})
    nodes = model([PRODUCT, split], ['a', 'b'], w=square, sizes=np.array([1, 2]))
    assert assert_equal_after(separate_products, nodes) == {'MatMul': 1, 'Split': 1}


def test_a_product_with_an_inverse_becomes_a_quotient():
    nodes = [
        ('Abs', ['x'], ['size']),
        ('Sqrt', ['size'], ['root']),
        ('Reciprocal', ['root'], ['inverse']),
        ('Mul', ['inverse', 'x'], ['y']),
    ]
    assert assert_equal_after(use_quotients, model(nodes, ['y'])) == {'Abs': 1, 'Sqrt': 1, 'Div': 1}


def test_an_inverse_that_is_read_twice_stays():
    nodes = [
        ('Reciprocal', ['x'], ['inverse']),
        ('Mul', ['inverse', 'x'], ['y']),
        ('Mul', ['inverse', 'inverse'], ['z']),
    ]
    assert assert_equal_after(use_quotients, model(nodes, ['y', 'z']))['Reciprocal'] == 1


GELU = [
    ('Div', ['x', 'root'], ['a']),
    ('Erf', ['a'], ['b']),
    ('Add', ['b', 'one'], ['c']),
    ('Mul', ['half', 'c'], ['d']),
    ('Mul', ['x', 'd'], ['y']),
]
NUMBERS = {'root': np.float32(2**0.5), 'one': np.float32(1), 'half': np.float32(0.5)}


def operators_of_onnxruntime(model: onnx.ModelProto, path) -> set[str]:
    """Those that onnxruntime runs after its own rewriting."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return {node.op_type for node in onnx.load(path).graph.node}


def test_onnxruntime_knows_a_gelu_whose_half_is_last(tmp_path):
    gelu = model(GELU, ['y'], **NUMBERS)
    gelu.ir_version = 10
    (before,) = run(gelu)
    halve_last(gelu.graph)
    np.testing.assert_array_equal(run(gelu)[0], before)
    assert operators_of_onnxruntime(gelu, tmp_path / 'run.onnx') == {'Gelu'}


def test_a_half_that_others_read_stays():
    nodes = [*GELU, ('Relu', ['d'], ['z'])]
    before = model(nodes, ['y', 'z'], **NUMBERS)
    after = copy.deepcopy(before)
    assert_equal_after(halve_last, after)
    assert after == before


def test_what_is_made_later_is_not_read_before():
    nodes = [('Mul', ['half', 'x'], ['d']), ('Relu', ['x'], ['r']), ('Mul', ['r', 'd'], ['y'])]
    assert_equal_after(halve_last, model(nodes, ['y'], half=NUMBERS['half']))
