"""An exported detector and what its file finds in a runtime, beside torch."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from mmvig.export.detection.matching import pair
from mmvig.export.exportable import Exportable
from tests.support import detectors
from tests.support.runtimes import openvino_core_or_skip

# Rows and columns of the tensor, and of the image in it; nothing is detected in an empty image.
SIZES = [((96, 128), (96, 128)), ((97, 131), (61, 131)), ((224, 320), (200, 300))]
SIZES += [((33, 65), (20, 65)), ((5, 3), (5, 3)), ((1, 1), (1, 1)), ((64, 96), (0, 0))]

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class DetectionFile(NamedTuple):
    """A detector, its file of the form that every runtime has, and how equal they are."""

    model: Exportable
    path: Path
    tolerance: float  # as a share of an output's largest value


def in_onnxruntime(path: Path) -> Run:
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return lambda inputs: session.run(None, inputs)


def in_openvino(path: Path) -> Run:
    core = openvino_core_or_skip()
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = core.compile_model(path, 'CPU', options)
    return lambda inputs: list(compiled(inputs).values())


def assert_equal_to_torch(file: DetectionFile, run: Run, image_BCYX: Tensor, size) -> int:
    """Returns the number of detections."""
    size = torch.tensor(size)
    with torch.no_grad():
        expected = file.model.module(image_BCYX, size)
    expected = {name: x.numpy() for name, x in zip(file.model.outputs, expected, strict=True)}
    found = run({'image': image_BCYX.numpy(), 'image_size': size.numpy()})
    found = dict(zip(file.model.outputs, found, strict=True))
    found, expected = pair(found, expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert found[name].shape == values.shape
        limit = file.tolerance * np.abs(values).max(initial=1)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=limit, err_msg=name)
    return len(expected['labels'])


def assert_equal_at_every_size(file: DetectionFile, runtime: Callable[[Path], Run]) -> None:
    run = runtime(file.path)
    counts = [
        assert_equal_to_torch(file, run, detectors.image(*tensor_size), size)
        for tensor_size, size in SIZES
    ]
    assert min(counts[:4]) > 0, 'there must be something to compare'
    assert counts[-1] == 0
