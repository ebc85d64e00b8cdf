"""Files of detectors find in onnxruntime and OpenVINO what torch finds, at every size."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mmvig.datasets.shapes import draw
from mmvig.export.detection import detector
from mmvig.export.detection.matching import pair
from mmvig.export.exportable import Exportable
from mmvig.export.exporter import export
from tests.support import detectors
from tests.support.runtimes import openvino_core_or_skip

# Rows and columns of the tensor, and of the image in it; nothing is detected in an empty image.
SIZES = [((96, 128), (96, 128)), ((97, 131), (61, 131)), ((224, 320), (200, 300))]
SIZES += [((33, 65), (20, 65)), ((5, 3), (5, 3)), ((1, 1), (1, 1)), ((64, 96), (0, 0))]
# Measured: 3e-6 of the largest value of an output, 7e-5 with the many layers of ViG in front of
# random heads.
TOLERANCES = {'retinanet': 1e-5, 'cascade': 1e-5, 'mini': 3e-4}

pytestmark = pytest.mark.slow  # all need whole detectors to be traced


class File(NamedTuple):
    """A detector, its file of the form that every runtime has, and how equal they are."""

    model: Exportable
    path: Path
    tolerance: float


@pytest.fixture(scope='module', params=TOLERANCES)
def file(request, tmp_path_factory):
    cfg = detectors.config(request.param)
    model = detector(detectors.build(cfg), cfg)
    path = tmp_path_factory.mktemp('onnx') / 'model.onnx'
    export(model, path, form='portable', check=False)
    return File(model, path, TOLERANCES[request.param])


def in_onnxruntime(path):
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return lambda inputs: session.run(None, inputs)


def in_openvino(path):
    core = openvino_core_or_skip()
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = core.compile_model(path, 'CPU', options)
    return lambda inputs: list(compiled(inputs).values())


def assert_equal_to_torch(file, run, tensor, size) -> int:
    """Returns the number of detections."""
    size = torch.tensor(size)
    with torch.no_grad():
        expected = file.model.module(tensor, size)
    expected = {name: x.numpy() for name, x in zip(file.model.outputs, expected, strict=True)}
    found = run({'image': tensor.numpy(), 'image_size': size.numpy()})
    found = dict(zip(file.model.outputs, found, strict=True))
    found, expected = pair(found, expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert found[name].shape == values.shape
        limit = file.tolerance * np.abs(values).max(initial=1)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=limit, err_msg=name)
    return len(expected['labels'])


@pytest.mark.parametrize('runtime', [in_onnxruntime, in_openvino])
def test_one_file_equals_torch_at_every_size(file, runtime):
    run = runtime(file.path)
    counts = [
        assert_equal_to_torch(file, run, detectors.image(*tensor_size), size)
        for tensor_size, size in SIZES
    ]
    assert min(counts[:4]) > 0, 'there must be something to compare'
    assert counts[-1] == 0


def test_drawn_images(file):
    run = in_onnxruntime(file.path)
    manifest = file.model.manifest
    mean, std = (torch.tensor(values)[:, None, None] for values in (manifest.mean, manifest.std))
    for seed in range(3):
        image_CYX = torch.from_numpy(draw(seed)[0].copy()).permute(2, 0, 1)
        tensor = ((image_CYX - mean) / std)[None]
        assert assert_equal_to_torch(file, run, tensor, image_CYX.shape[1:])


def test_operators_are_standard(file):
    proto = onnx.load(file.path)
    assert {opset.domain for opset in proto.opset_import} == {''}
    assert {node.domain for node in proto.graph.node} == {''}
    image, image_size = proto.graph.input
    assert [dim.dim_param for dim in image.type.tensor_type.shape.dim[2:]] == ['height', 'width']
    assert image_size.type.tensor_type.shape.dim[0].dim_value == 2
