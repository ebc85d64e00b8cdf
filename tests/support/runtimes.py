"""Runtimes of ONNX files that may be missing."""

import pytest

from mmvig.deploy.openvino import openvino_core


def openvino_core_or_skip():
    try:
        return openvino_core()
    except ImportError:
        pytest.skip('needs openvino')
