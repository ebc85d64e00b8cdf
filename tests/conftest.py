"""Fixtures that several test files share."""

import functools
import gc
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

# Triton decides at its import whether kernels are interpreted; without a GPU they have to be.
if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')

# Torch's compiler builds six programs, 10 s, to see which vectors it may use; for what the tests
# compile, single numbers are as good and sooner compiled. Processes that they start inherit it.
os.environ.setdefault('TORCHINDUCTOR_VEC_ISA_OK', '0')

# For each config that inherits one of a host's, mmengine parses the descriptions of all its models;
# here once.
if find_spec('mmengine'):
    import mmengine.config.utils

    mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)

# Examples chosen by hypothesis: a few fixed ones in the suite, many new ones in `make fuzz`. The
# operator's tests do without it, but for those (`tests/kernels/conftest.py`).
if find_spec('hypothesis'):
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        'suite',
        max_examples=40,
        derandomize=True,
        deadline=None,
        database=None,
        # What `poisoned` changes holds for all examples of a test.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.register_profile(
        'fuzz', settings.get_profile('suite'), max_examples=800, derandomize=False, print_blob=True
    )
    settings.load_profile('suite')


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Import without garbage collection, which is a quarter of the time and finds nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: of two processes, neither waits long for the other's last."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


_modules_frozen = 0


def pytest_runtest_setup() -> None:
    """Take what imports left out of garbage collection.

    A whole collection of it takes 0.3 s, and every command asks for several.
    """
    global _modules_frozen
    if len(sys.modules) > _modules_frozen + 100:
        gc.collect()
        gc.freeze()
        _modules_frozen = len(sys.modules)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def coco_photos(tmp_path_factory) -> Path:
    """A few images of many sizes in COCO's layout."""
    from tests.support.photos import draw_coco, real_photos

    return real_photos('coco_photos') or draw_coco(tmp_path_factory.mktemp('photos') / 'coco')


@pytest.fixture(scope='session')
def ade_photos(tmp_path_factory) -> Path:
    """Three images with their masks in ADE20K's layout."""
    from tests.support.photos import draw_ade, real_photos

    return real_photos('ade_samples') or draw_ade(tmp_path_factory.mktemp('photos') / 'ade')


@pytest.fixture(scope='session')
def workspace(tmp_path_factory) -> Path:
    """A folder with the mini data set, of which a fifth of the training images is drawn."""
    from mmvig.datasets import shapes
    from tests.support.cli import run_in

    folder = tmp_path_factory.mktemp('workspace')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shapes.SPLITS, 'train', ('training', 96, 0))
        run_in(folder, 'draw-mini')
    return folder


@pytest.fixture(scope='session')
def valid_inputs(tmp_path_factory) -> Path:
    """Small configs, data and checkpoints, not to be written to: see `input_folder`."""
    from tests.support.invalid_inputs import make_inputs

    folder = tmp_path_factory.mktemp('inputs')
    make_inputs(folder)
    return folder


@pytest.fixture
def input_folder(valid_inputs, tmp_path, monkeypatch) -> Path:
    """The working folder, with valid inputs as hard links: changes must replace them."""
    folder = tmp_path / 'here'
    shutil.copytree(valid_inputs, folder, copy_function=os.link)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli(capfd, monkeypatch):
    """Commands in this process: `cli.run(*argv)` returns status, stdout and stderr."""
    from tests.support.cli import Cli  # imports the MM libraries, which tests of kernels do without

    return Cli(capfd, monkeypatch)


@pytest.fixture
def poisoned(monkeypatch):
    """Fill uninitialised memory with NaN, so that an unwritten output is seen."""

    def fill(make):
        def poisoned_make(*args, **kwargs):
            out = make(*args, **kwargs)
            return out.fill_(float('nan')) if out.is_floating_point() else out

        return poisoned_make

    monkeypatch.setattr(torch, 'empty', fill(torch.empty))
    monkeypatch.setattr(torch, 'empty_like', fill(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, 'new_empty', fill(torch.Tensor.new_empty))
