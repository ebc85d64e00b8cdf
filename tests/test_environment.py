"""The set-up and the package: each failure says what to do, and a wheel works anywhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def make_env(venv: Path, **env) -> subprocess.CompletedProcess:
    return subprocess.run(
        [ROOT / 'tools/make_env.sh'],
        env=os.environ | {'VENV': str(venv)} | {key: str(value) for key, value in env.items()},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def borrowed(tmp_path) -> Path:
    """An environment without its stamp: a link to the Python that runs the tests."""
    (tmp_path / 'venv/bin').mkdir(parents=True)
    python = tmp_path / 'venv/bin/python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path / 'venv'


def test_no_fitting_python(tmp_path):
    done = make_env(tmp_path / 'venv', PYTHON='/bin/false')
    assert done.returncode == 1
    assert 'expected Python 3.10 to 3.12' in done.stderr
    assert 'make env PYTHON=' in done.stderr


def test_too_little_disk(tmp_path):
    done = make_env(tmp_path / 'venv', MMVIG_NEED_GIB=10_000_000)
    assert done.returncode == 1
    assert '10000000 GiB are needed' in done.stderr
    assert 'make env VENV=' in done.stderr
    assert not (tmp_path / 'venv').exists()


def test_unreachable_registry(borrowed):
    pip = {'PIP_INDEX_URL': 'http://127.0.0.1:9/simple', 'PIP_RETRIES': 1, 'PIP_TIMEOUT': 2}
    done = make_env(borrowed, **pip, PIP_FORCE_REINSTALL=1)
    assert done.returncode == 1
    assert 'the package index could not be reached' in done.stderr
    assert 'PIP_INDEX_URL' in done.stderr
    assert not (borrowed / '.mmvig-env').exists()


def test_no_compiler(borrowed, tmp_path):
    done = make_env(
        borrowed, CXX='no-such-compiler', MMVIG_CACHE=tmp_path / 'cache', PIP_NO_INDEX=1
    )
    assert done.returncode == 1
    assert 'a C++ compiler is needed' in done.stderr
    assert 'no-such-compiler was not found' in done.stderr
    assert not list((tmp_path / 'cache').rglob('*.whl'))


def test_wheel_works_from_anywhere(tmp_path):
    source, wheels, site = tmp_path / 'source', tmp_path / 'wheels', tmp_path / 'site'
    for name in ('mmvig', 'kernels', 'setup.py', 'pyproject.toml', 'README.md'):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True)
        else:
            shutil.copy(path, source / name)
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-build-isolation', '--no-deps']
    subprocess.run([*pip, '-w', wheels, source], check=True)
    (wheel,) = wheels.glob('mmvig-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    assert 'mmvig/kernels/api.py' in names
    assert not [name for name in names if name.startswith(('kernels/', 'tests/', 'tools/'))]
    code = 'import mmvig.kernels, mmvig.backbones; print(mmvig.kernels.__file__)'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | {'PYTHONPATH': str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in done.stdout
