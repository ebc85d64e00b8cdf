"""Runtimes of ONNX files that may be missing."""

from types import ModuleType

import pytest

from mmvig.deploy.openvino import import_openvino


def openvino_or_skip() -> ModuleType:
    try:
        return import_openvino()
    except ImportError:
        pytest.skip('needs openvino')
