"""Files that are damaged or of other programs, and forms that a runtime lacks: one line says so."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmvig.deploy import Deployed
from mmvig.deploy.manifest import KEY
from tests.support.onnx_graphs import TensorProto, helper, onnx, write_graph, write_model

needs_openvino = pytest.mark.skipif(not find_spec('openvino'), reason='needs openvino')


def damaged_files(folder: Path) -> dict[str, Path]:
    """Files that are no exported models, by what is wrong with them."""
    whole = write_model(folder / 'whole.onnx', 'segmentation').read_bytes()
    paths = {}

    def write(name: str, content: bytes) -> None:
        paths[name] = folder / f'{name}.onnx'
        paths[name].write_bytes(content)

    write('empty', b'')
    write('text', b'Not found\n')
    write('html', b'<!doctype html><html>404</html>')
    write('cut', whole[:-40])
    write('cut in the graph', whole[:60])
    write('picture', cv2.imencode('.png', np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    write('newer', whole.replace(b'"format": 1', b'"format": 2'))
    write('no json', whole.replace(b'{"format"', b'["format"'))
    write('unknown entry', whole.replace(b'"align_corners"', b'"align_borders"'))
    identity = [helper.make_node('Identity', ['image'], ['y'])]
    output = [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['N', 3, 'Y', 'X'])]
    paths['foreign'] = write_graph(folder / 'foreign.onnx', identity, output, {'author': 'me'})
    manifest = onnx.load(folder / 'whole.onnx').metadata_props[0].value
    paths['other outputs'] = write_graph(folder / 'out.onnx', identity, output, {KEY: manifest})
    model = onnx.load(folder / 'whole.onnx')
    model.graph.node[0].op_type = 'LinearTelepathy'
    paths['unknown operator'] = folder / 'operator.onnx'
    onnx.save(model, paths['unknown operator'])
    return paths


WHOLE = r'expected a whole ONNX file, .*\.onnx cannot be read as one: its \d+ bytes are cut short'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('empty', 'expected an ONNX file, .*empty.onnx is an empty file'),
        ('text', WHOLE),
        ('html', WHOLE),
        ('picture', WHOLE),
        ('cut', WHOLE),
        ('cut in the graph', WHOLE),
        ('newer', 'expected format 1 in the metadata of the file, got 2: use the version'),
        ('no json', "expected a manifest of mmvig in the file's metadata"),
        ('unknown entry', 'expected the entries of a manifest in the metadata of the file'),
        ('foreign', 'expected an ONNX file that `python -m mmvig export` wrote, .* lacks'),
        ('other outputs', 'expected a graph for segmentation with labels or logits as output'),
        ('unknown operator', 'onnxruntime cannot run .*operator.onnx.*LinearTelepathy'),
    ],
)
def test_damaged_and_foreign_files(name, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        Deployed(damaged_files(tmp_path)[name])
    assert '\n' not in str(caught.value)


def test_every_cut_is_noticed(tmp_path):
    """Wherever a file breaks off, it is an error of the file, never one of the code."""
    content = write_model(tmp_path / 'm.onnx', 'detection').read_bytes()
    path = tmp_path / 'cut.onnx'
    for length in range(1, len(content), 17):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match='expected a'):
            Deployed(path)


@needs_openvino
@pytest.mark.parametrize('form', ['contrib', 'standard'])
def test_a_form_that_openvino_cannot_run(form, tmp_path):
    """It has no such operator, so the message names the form that needs none."""
    path = write_model(tmp_path / 'm.onnx', 'segmentation', form=form)
    model = onnx.load(path)
    node = model.graph.node[0]
    node.op_type = 'LinearAttention'
    if form == 'contrib':
        node.domain = 'com.microsoft'
        model.opset_import.append(helper.make_opsetid('com.microsoft', 1))
    else:
        model.opset_import[0].version = 27
    onnx.save(model, path)
    message = f'openvino cannot run .*, of the form {form}: export it with --form portable'
    with pytest.raises(ValueError, match=message) as caught:
        Deployed(path, runtime='openvino')
    assert '\n' not in str(caught.value)
