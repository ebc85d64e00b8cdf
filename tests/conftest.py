"""Fixtures that several test files share."""

import os
import sys
from pathlib import Path

# Triton decides at import whether kernels are interpreted; without a GPU they have to be.
os.environ.setdefault('TRITON_INTERPRET', '1')

import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.runner import checkpoint as mmengine_checkpoint

import mmvig.__main__
from tests.support.commands import call, forget_runs

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared' / 'data'
_safe_globals_of_mmengine = getattr(mmengine_checkpoint, 'get_torch_safe_globals', None)

# Examples chosen by hypothesis: a few fixed ones in the suite, many new ones in `make fuzz`.
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


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_command_has_run(monkeypatch):
    """Take back what commands set in this process, so that tests do not depend on their order."""
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    monkeypatch.setattr(
        mmengine_checkpoint, 'get_torch_safe_globals', _safe_globals_of_mmengine, raising=False
    )


@pytest.fixture(scope='session')
def root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def coco_photos() -> Path:
    """53 COCO photos in the stock layout; not part of the project."""
    path = SHARED / 'coco_photos'
    if not path.is_dir():
        pytest.skip(f'no photos at {path}')
    return path


@pytest.fixture(scope='session')
def workspace(tmp_path_factory) -> Path:
    """A folder with the mini data set."""
    folder = tmp_path_factory.mktemp('workspace')
    call(sys.executable, '-m', 'mmvig', 'draw-mini', cwd=folder)
    return folder


@pytest.fixture
def mmvig_command(monkeypatch, capsys):
    """Run `python -m mmvig …` in this process; returns what it wrote to stdout."""

    def run(*args) -> str:
        monkeypatch.setattr(sys, 'argv', ['mmvig', *map(str, args)])
        forget_runs()
        mmvig.__main__.main()
        return capsys.readouterr().out

    return run


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
