"""Files of detectors find in onnxruntime and OpenVINO what torch finds, at every size."""

import onnx
import pytest
import torch

from mmvig.datasets.shapes import draw
from mmvig.export.detection import detector
from mmvig.export.exporter import export
from tests.support import detectors
from tests.support.detection_file import (
    DetectionFile,
    assert_equal_at_every_size,
    assert_equal_to_torch,
    in_onnxruntime,
    in_openvino,
)

# Measured: 3e-6 of the largest value of an output. A detector with the many layers of ViG is in
# test_learnt_detector.py.
TOLERANCE = 1e-5

pytestmark = pytest.mark.slow  # all need whole detectors to be traced


@pytest.fixture(scope='module', params=['retinanet', 'cascade'])
def file(request, tmp_path_factory):
    cfg = detectors.config(request.param)
    model = detector(detectors.build(cfg), cfg)
    path = tmp_path_factory.mktemp('onnx') / 'model.onnx'
    export(model, path, form='portable', check=False)
    return DetectionFile(model, path, TOLERANCE)


@pytest.mark.parametrize('runtime', [in_onnxruntime, in_openvino])
def test_one_file_equals_torch_at_every_size(file, runtime):
    assert_equal_at_every_size(file, runtime)


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
