"""Backbones as files, against torch, at sizes that were not traced."""

import onnx
import pytest
import torch

from mmvig.export.exporter import write
from mmvig.export.forms import FORMS, calls, expand
from mmvig.export.verify import difference, open_session
from tests.support.exports import traced
from tests.support.onnx_graphs import all_nodes
from tests.support.runtimes import openvino_core_or_skip

TOLERANCE = 3e-6  # of the largest value; measured: 1.1e-6
SIZES = ((1, 1), (1, 40), (17, 2), (224, 224), (65, 97))
NAMES = [
    'MultiScaleViG',
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ('ViR', 'PlainViG', 'LinGlo', 'ViR-bidirectional')
    ),
]


@pytest.fixture(params=NAMES)
def backbone(request, traced_backbones):
    return traced(request.param, traced_backbones)


def test_every_form_equals_torch_at_every_size(backbone, tmp_path):
    model, graph = backbone
    for form in FORMS if calls(graph) else ['portable']:
        path = tmp_path / f'{form}.onnx'
        onnx.save(expand(graph, form), path)
        run = open_session(path)
        for i, size in enumerate(SIZES):
            image = torch.randn(1 + i % 2, 3, *size)
            with torch.no_grad():
                maps = model.module(image)
            found = run({'image': image.numpy()})
            for name, expected in zip(model.outputs, maps, strict=True):
                assert difference(found[name], expected.numpy()) <= TOLERANCE, (form, size)


def test_openvino_runs_the_portable_form(backbone):
    """At sizes of which the third was computed from what the first had left, by loops."""
    core = openvino_core_or_skip()
    model, graph = backbone
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    file = expand(graph, 'portable').SerializeToString()
    compiled = core.compile_model(core.read_model(file), 'CPU', options)
    for size in ((160, 256), (160, 224), (192, 256), (1, 40), (65, 97)):
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            maps = model.module(image)
        found = compiled({'image': image.numpy()})
        for i, expected in enumerate(maps):
            assert difference(found[i], expected.numpy()) <= TOLERANCE


def test_only_operators_of_the_named_sets(backbone):
    _, graph = backbone
    for name, form in FORMS.items():
        model = expand(graph, name)
        onnx.checker.check_model(model, full_check=True)
        assert not model.functions
        nodes = list(all_nodes(model.graph))
        foreign = {(node.domain, node.op_type) for node in nodes if node.domain}
        allowed = {('com.microsoft', 'LinearAttention')} if name == 'contrib' else set()
        assert foreign <= allowed
        for node in nodes:
            if not node.domain:
                onnx.defs.get_schema(node.op_type, max_inclusive_version=form.opset)


def test_slow_forms_of_the_exporter_are_replaced(traced_backbones):
    """Passes over whole maps: a lerp with two bases, a norm in six steps, copies of parts."""
    _, graph = traced('MultiScaleViG', traced_backbones)
    assert not {'Where', 'Reciprocal', 'Split'} & {node.op_type for node in graph.graph.node}


def test_a_file_tells_nothing_of_the_machine(backbone, tmp_path):
    """The tracer notes stack traces with paths."""
    model, graph = backbone
    report = write(graph, model, tmp_path / 'model.onnx', 'portable')
    content = (tmp_path / 'model.onnx').read_bytes()
    assert b'.py' not in content
    assert report.nodes < 1000
