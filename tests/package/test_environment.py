"""The set-up and the package: each failure says what to do, and a wheel works anywhere."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# Family of packages → make's target and the file of its versions.
FAMILIES = {
    'onedl': ('env', 'constraints.txt'),
    'openmmlab': ('env-openmmlab', 'constraints-openmmlab.txt'),
}
INSTALLED = next(
    family
    for family, name in (('onedl', 'onedl-mmengine'), ('openmmlab', 'mmengine'))
    if list(metadata.distributions(name=name))
)
both_families = pytest.mark.parametrize('family', FAMILIES)


def make_env(venv: Path, family: str = INSTALLED, **env) -> subprocess.CompletedProcess:
    env |= {'VENV': venv, 'FAMILY': family}
    return subprocess.run(
        [ROOT / 'tools/make_env.sh'],
        env=os.environ | {key: str(value) for key, value in env.items()},
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


@both_families
def test_no_fitting_python(family, tmp_path):
    done = make_env(tmp_path / 'venv', family, PYTHON='/bin/false')
    assert done.returncode == 1
    assert 'expected Python 3.10 to 3.12' in done.stderr
    assert f'make {FAMILIES[family][0]} PYTHON=' in done.stderr


@both_families
def test_too_little_disk(family, tmp_path):
    done = make_env(tmp_path / 'venv', family, MMVIG_NEED_GIB=10_000_000)
    assert done.returncode == 1
    assert '10000000 GiB are needed' in done.stderr
    assert f'make {FAMILIES[family][0]} VENV=' in done.stderr
    assert not (tmp_path / 'venv').exists()


@both_families
def test_unreachable_registry(family, borrowed):
    pip = {'PIP_INDEX_URL': 'http://127.0.0.1:9/simple', 'PIP_RETRIES': 1, 'PIP_TIMEOUT': 2}
    done = make_env(borrowed, family, **pip, PIP_FORCE_REINSTALL=1)
    assert done.returncode == 1
    assert 'the package index could not be reached' in done.stderr
    assert 'PIP_INDEX_URL' in done.stderr
    assert not (borrowed / '.mmvig-env').exists()


@pytest.mark.slow
def test_no_compiler(borrowed, tmp_path):
    done = make_env(
        borrowed, CXX='no-such-compiler', MMVIG_CACHE=tmp_path / 'cache', PIP_NO_INDEX=1
    )
    assert done.returncode == 1
    assert 'a C++ compiler is needed' in done.stderr
    assert 'no-such-compiler was not found' in done.stderr
    assert not list((tmp_path / 'cache').rglob('*.whl'))


def test_unknown_family(tmp_path):
    done = make_env(tmp_path / 'venv', 'mmlab')
    assert done.returncode == 1
    assert 'expected FAMILY onedl or openmmlab, got mmlab' in done.stderr


@both_families
def test_an_environment_of_the_other_family(family, borrowed):
    (other,) = set(FAMILIES) - {family}
    (borrowed / '.mmvig-env').write_text(f'{other} stamp\n')
    done = make_env(borrowed, family)
    assert done.returncode == 1
    assert f'holds the {other} packages' in done.stderr
    assert f'make {FAMILIES[family][0]} VENV=' in done.stderr


def test_each_target_makes_its_own_environment():
    """Whatever is set outside: mixed in one environment, the families overwrite each other."""
    done = subprocess.run(
        ['make', '-n', 'test', 'test-openmmlab'],
        cwd=ROOT,
        env={key: os.environ[key] for key in ('PATH', 'HOME')} | {'FAMILY': 'openmmlab'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'FAMILY=onedl VENV=.venv tools' in done.stdout
    assert 'FAMILY=openmmlab VENV=.venv-openmmlab tools' in done.stdout
    for venv in ('.venv', '.venv-openmmlab'):
        assert f' {venv}/bin/python -m pytest ' in done.stdout


@both_families
def test_pinned_versions_are_what_setup_asks_for(family):
    lines = (ROOT / FAMILIES[family][1]).read_text().splitlines()
    pinned = dict(line.split('==') for line in lines if not line.startswith('#'))
    asked = [Requirement(line) for line in metadata.requires('mmvig')]
    asked = [it for it in asked if it.marker and it.marker.evaluate({'extra': family})]
    assert len(asked) > 5
    for requirement in asked:
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
