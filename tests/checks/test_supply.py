"""Nothing is fetched behind one's back, and no file of weights runs code, whatever reads it."""

import ast
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmvig.apis.inference import Predictor
from mmvig.visualization.inspect.model import build_model
from tests.support import invalid_inputs
from tests.support.commands import call
from tests.support.invalid_inputs import MARKER

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    invalid_inputs.hostile_system,
    invalid_inputs.hostile_getattr,
    invalid_inputs.hostile_in_weights,
    invalid_inputs.hostile_eval,
    invalid_inputs.hostile_message_hub,
]
SIZES = {'s', 'b'}
OFFLINE = """
import sys

def refuse(event, arguments):
    if event.startswith(('socket.connect', 'socket.getaddrinfo', 'socket.gethostby', 'urllib.')):
        raise PermissionError(f'{event} {arguments} asks for the network')

sys.addaudithook(refuse)
"""


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('supply')
    invalid_inputs.make_inputs(folder)
    return folder


def test_nothing_is_fetched(inputs):
    """Imports, every kind of model, and a short training, in a process that may not connect.

    Sizes are left out: they change numbers of a config, not what it is made of.
    """
    code = f"""{OFFLINE}
import socket
try:
    socket.create_connection(('127.0.0.1', 9), 0.1)
except PermissionError:
    print('no network')
import importlib, pkgutil, torch, mmvig
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
for module in pkgutil.walk_packages(mmvig.__path__, 'mmvig.'):
    if module.name != 'mmvig.__main__' and not module.name.startswith('mmvig.webui'):
        importlib.import_module(module.name)
built = 0
for name, path in mmvig.configs.list_configs().items():
    if {SIZES} & set(name.replace('_', '-').split('-')):
        continue
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        MODELS.build(cfg.model)
    built += 1
print(built, 'built')
from mmvig.__main__ import main
sys.argv = ['mmvig', 'train', 'det.py', '--work-dir', 'offline']
main()
"""
    out = call(sys.executable, '-c', code, cwd=inputs).stdout
    assert 'no network' in out, 'the hook does refuse'
    names = [path.stem for path in ROOT.glob('configs/[!_]*/*.py')]
    kinds = [name for name in names if not SIZES & set(name.replace('_', '-').split('-'))]
    assert f'{len(kinds)} built' in out
    assert len(kinds) > 20
    assert (inputs / 'offline/epoch_1.pth').is_file()


def predictor(folder: Path, path: str) -> None:
    Predictor(Config.fromfile(folder / 'det.py'), path, 'cpu')


def inspected(folder: Path, path: str) -> None:
    build_model(Config.fromfile(folder / 'det.py'), path)


def another_train_py(folder: Path, path: str) -> None:
    """What mmdet's own tools/train.py does with our backbone's init_cfg."""
    cfg = Config.fromfile(folder / 'det.py')
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=path)
    MODELS.build(cfg.model).init_weights()


@pytest.mark.parametrize('reader', [predictor, inspected, another_train_py])
@pytest.mark.parametrize('make', HOSTILE)
def test_no_reader_runs_code(make, reader, inputs, tmp_path, monkeypatch):
    """In a program of one's own too, where no command has set torch's switch."""
    monkeypatch.chdir(tmp_path)
    torch.save(make(), 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth is refused'):
        reader(inputs, 'bad.pth')
    assert not (tmp_path / MARKER).exists()


def test_the_files_would_run_code(tmp_path, monkeypatch):
    """Each of them, where it may: else the tests above would show nothing."""
    monkeypatch.chdir(tmp_path)
    for make in HOSTILE:
        torch.save(make(), 'bad.pth')
        if make is invalid_inputs.hostile_getattr:
            continue  # aims at torch's restricted reader, with mmengine's list
        torch.load('bad.pth', weights_only=False)
        marker = tmp_path / MARKER
        assert marker.exists(), make.__name__
        marker.rmdir() if marker.is_dir() else marker.unlink()


def test_sources_run_no_text_and_load_only_weights():
    forbidden = {'eval', 'exec', 'compile', '__import__'}
    for path in (*ROOT.glob('mmvig/**/*.py'), *ROOT.glob('kernels/*.py'), *ROOT.glob('tools/*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, 'module', '')}
                assert 'pickle' not in names or isinstance(node, ast.ImportFrom), path
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert called not in forbidden, f'{path}: {called}'
            assert not called.endswith('os.system'), path
            assert settings.get('shell') != 'True', path
            if called in ('torch.load', 'torch.hub.load_state_dict_from_url'):
                assert settings.get('weights_only') == 'True', path
