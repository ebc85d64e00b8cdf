"""The check can fail: a wrong file is not left behind, and a right one before it is kept."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from mmvig.checks.errors import UserError
from mmvig.export.exporter import write
from mmvig.export.verify import BUDGETS, SIZES, difference, inputs_of


def change_weight(graph: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """A copy of a traced model in which one of its matrices is multiplied."""
    graph = copy.deepcopy(graph)
    weight = next(x for x in graph.graph.initializer if len(x.dims) == 4 and x.dims[0] == 6)
    changed = numpy_helper.to_array(weight) * np.float32(factor)
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    return graph


@pytest.mark.slow
def test_a_file_that_differs_is_refused_and_not_left(small_segmentor, tmp_path):
    model, graph = small_segmentor
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'what was there before')
    with pytest.raises(UserError, match=r'model.onnx is not written: its logits .* by 1.0e-02 of'):
        write(change_weight(graph, 1.01), model, path)
    assert path.read_bytes() == b'what was there before'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_file_with_nan_is_refused(small_segmentor, tmp_path):
    model, graph = small_segmentor
    with pytest.raises(UserError, match='is not written'):
        write(change_weight(graph, float('nan')), model, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_a_check_it_is_written(small_segmentor, tmp_path):
    model, graph = small_segmentor
    report = write(change_weight(graph, 1.01), model, tmp_path / 'model.onnx', check=False)
    assert report.error is None
    assert report.path.is_file()


@pytest.mark.slow
def test_a_file_of_one_size_is_refused(small_segmentor, tmp_path):
    """A size that the trace has frozen, as by `AdaptiveAvgPool2d`, shows at another."""
    model, graph = small_segmentor
    graph = copy.deepcopy(graph)
    shape = numpy_helper.from_array(np.array([2, 6, 320, 512], np.int64), 'frozen')
    graph.graph.initializer.append(shape)
    last = next(node for node in graph.graph.node if 'logits' in node.output)
    last.output[0] = 'before'
    graph.graph.node.append(onnx.helper.make_node('Reshape', ['before', 'frozen'], ['logits']))
    with pytest.raises(UserError, match='cannot run an image of 65×97'):
        write(graph, model, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_onnxruntime_does_not_know_is_refused(small_segmentor, tmp_path, monkeypatch):
    from mmvig.export.forms import FORMS

    unknown = FORMS['contrib']._replace(
        write=lambda nodes, call: nodes.Nothing(call.q, domain='com.microsoft')
    )
    monkeypatch.setitem(FORMS, 'contrib', unknown)
    model, graph = small_segmentor
    with pytest.raises(UserError, match='onnxruntime .* cannot run this form.*--form portable'):
        write(graph, model, tmp_path / 'model.onnx', 'contrib')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(small_segmentor, tmp_path, monkeypatch):
    def save(proto, path):
        path.write_bytes(b'a part')
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr(onnx, 'save', save)
    model, graph = small_segmentor
    with pytest.raises(OSError, match='No space'):
        write(graph, model, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


def test_differences():
    x = np.array([1.0, -4.0, 2.0], np.float32)
    assert difference(x, x) == 0
    assert difference(x + np.float32(0.5), x) == pytest.approx(0.125)
    assert difference(x[:2], x) == float('inf')
    assert difference(x.astype(np.float64), x) == float('inf')
    assert np.isnan(difference(x * np.float32('nan'), x))
    labels = np.array([0, 1, 2, 3])
    assert difference(labels, np.array([0, 1, 2, 0])) == 0.25


@pytest.mark.slow
def test_images_are_checked_two_at_once_where_the_file_takes_them(small_segmentor):
    model, _ = small_segmentor
    (image,) = inputs_of(model, SIZES[0])
    assert image.shape == (2, 3, *SIZES[0])
    assert any(length % 2 for length in SIZES[0])
    alone = model._replace(inputs=('image', 'image_size'), dynamic_shapes=({2: None, 3: None}, {}))
    image, size = inputs_of(alone, SIZES[1])
    assert image.shape == (1, 3, *SIZES[1])
    assert torch.equal(size, torch.tensor(SIZES[1]))
    assert BUDGETS['float32'] == 1e-4
