"""What `python -m mmvig export` says where the packages that it needs are missing or too old."""

from importlib.util import find_spec

import pytest
import torch

COMMAND = ('export', 'vig_upernet_mini', 'absent.pth', '--out', 'model.onnx')


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def find_all_but(*absent):
    return lambda name: None if name in absent else find_spec('torch')


def test_one_missing_package(cli, monkeypatch):
    monkeypatch.setattr('mmvig.export.packages.find_spec', find_all_but('onnxscript'))
    assert cli.user_error(*COMMAND) == (
        'an export needs onnx, onnxscript, onnxruntime; onnxscript is not installed: pip install '
        'onnxscript, or mmvig with its extra: pip install -e ".[onnx]"'
    )


def test_several_missing_packages(cli, monkeypatch):
    monkeypatch.setattr('mmvig.export.packages.find_spec', find_all_but('onnx', 'onnxruntime'))
    message = cli.user_error(*COMMAND)
    assert 'onnx, onnxruntime are not installed: pip install onnx onnxruntime, or' in message


def test_a_torch_that_is_too_old(cli, monkeypatch):
    monkeypatch.setattr('mmvig.export.packages.find_spec', find_all_but())
    monkeypatch.setattr(torch, '__version__', '2.4.1')
    message = cli.user_error(*COMMAND)
    assert message.startswith('an export needs torch 2.9 or later, got 2.4.1: install a later')


def test_the_package_imports_without_them(monkeypatch):
    """`mmvig.export` itself is imported by documentation and completion."""
    import mmvig.export

    assert mmvig.export.__all__ == ['export', 'make_exportable']
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mmvig.export.nothing
