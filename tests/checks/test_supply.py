"""Nothing is fetched from the network unasked, and no file of weights runs code."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmvig.apis.inference import Predictor
from mmvig.visualization.inspect.model import build_model
from tests.support.commands import call
from tests.support.hostile_checkpoints import HOSTILE, MARKER, by_getattr
from tests.support.invalid_inputs import make_inputs

ROOT = Path(__file__).resolve().parents[2]
SIZES = {'s', 'b'}
SOURCES = sorted(
    path for name in ('mmvig', 'kernels', 'tools') for path in (ROOT / name).rglob('*.py')
)
PICKLES = {'pickle', '_pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve'}
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
    make_inputs(folder)
    return folder


@pytest.mark.slow
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
import gc, importlib.util, pkgutil, torch, mmvig
left_out = ('mmvig.__main__', 'mmvig.webui')
if importlib.util.find_spec('onnx') is None:
    left_out += ('mmvig.export.',)
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
for module in pkgutil.walk_packages(mmvig.__path__, 'mmvig.'):
    if not module.name.startswith(left_out):
        importlib.import_module(module.name)
gc.freeze()
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
main(['train', 'det.py', '--work-dir', 'offline'])
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
    """Outside of commands too, where torch's switch is not set."""
    monkeypatch.chdir(tmp_path)
    torch.save(make(), 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth is refused'):
        reader(inputs, 'bad.pth')
    assert not (tmp_path / MARKER).exists()


def test_hostile_files_run_code_in_an_unrestricted_loader(tmp_path, monkeypatch):
    """If nothing restricts the loader: else the tests above would show nothing."""
    monkeypatch.chdir(tmp_path)
    for make in HOSTILE:
        torch.save(make(), 'bad.pth')
        if make is by_getattr:
            continue  # aims at torch's restricted reader, with mmengine's list
        torch.load('bad.pth', weights_only=False)
        marker = tmp_path / MARKER
        assert marker.exists(), make.__name__
        marker.rmdir() if marker.is_dir() else marker.unlink()


def forbidden_code(source: str) -> Iterator[str]:
    """What runs text or code out of a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported = {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported = {(node.module or '').partition('.')[0]}
            if {alias.name for alias in node.names} == {'UnpicklingError'}:
                continue
        elif isinstance(node, ast.Call):
            imported = set()
            called = ast.unparse(node.func)
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            loads = called in ('torch.load', 'torch.hub.load_state_dict_from_url')
            if (
                called in ('eval', 'exec', 'compile', '__import__')
                or called.endswith('os.system')
                or settings.get('shell') == 'True'
                or (loads and settings.get('weights_only') != 'True')
            ):
                yield ast.unparse(node)
        else:
            continue
        if imported & PICKLES:
            yield ast.unparse(node)


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sources_run_no_text_and_load_only_weights(path):
    assert not list(forbidden_code(path.read_text()))


@pytest.mark.parametrize(
    'source',
    [
        'import pickle',
        'import torch, pickle as p',
        'from pickle import loads',
        'from pickle import UnpicklingError, Unpickler',
        'torch.load(path)',
        'torch.load(path, weights_only=False)',
        'torch.hub.load_state_dict_from_url(url)',
        'eval(text)',
        'exec(text)',
        'os.system(text)',
        'subprocess.run(text, shell=True)',
    ],
)
def test_forbidden_code_is_found(source):
    assert list(forbidden_code(source)) == [source]


def test_allowed_code_is_not_found():
    assert not list(forbidden_code('from pickle import UnpicklingError'))
    assert not list(forbidden_code('torch.load(path, weights_only=True)'))
