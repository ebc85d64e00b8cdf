"""How the native backend's library is built, kept, and done without."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmvig.kernels import bi_gla, native
from mmvig.kernels.native import build
from tests.support.op_cases import inputs


@pytest.fixture(scope='module')
def prebuilt() -> str:
    """The path of the library that this machine uses."""
    return build.load()._name


@pytest.fixture
def cache(prebuilt, monkeypatch, tmp_path) -> Path:
    """Where libraries are kept, with nothing built yet."""
    monkeypatch.setenv('MMVIG_CACHE', str(tmp_path))
    build.load.cache_clear()
    build.unavailable_reason.cache_clear()
    yield tmp_path / 'native'
    build.load.cache_clear()
    build.unavailable_reason.cache_clear()


@pytest.fixture
def without_compiler(cache, monkeypatch):
    """A machine on which nothing was built and nothing can be."""
    monkeypatch.setenv('CXX', 'no-such-compiler')


def test_without_a_compiler_the_chunk_form_runs_and_says_so(without_compiler):
    args = inputs(40)
    with pytest.warns(UserWarning, match='slower chunk form: .*install g\\+\\+'):
        out = bi_gla(*args)
    torch.testing.assert_close(out, bi_gla(*args, backend='chunked'), atol=0, rtol=0)
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler, .* no 'no-such-compiler'"):
        bi_gla(*args, backend='native')


def test_a_compiler_that_fails_is_quoted(without_compiler, monkeypatch, tmp_path):
    broken = tmp_path / 'c++'
    broken.write_text('#!/bin/sh\necho "cannot do that" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv('CXX', str(broken))
    with pytest.raises(RuntimeError, match='could not build .*bi_gla.cpp:\ncannot do that'):
        bi_gla(*inputs(4), backend='native')
    assert not list((tmp_path / 'native').iterdir()), 'nothing half-made stays'


@pytest.mark.parametrize(
    ('cxx', 'found'),
    [
        ('g++ -pipe', ['g++', '-pipe']),
        ('launcher g++', ['launcher', 'g++']),
        ('', ['c++']),
        ('  ', ['c++']),
        ('in two words/c++', ['in two words/c++']),
        ("'in two words/c++' -pipe", ['in two words/c++', '-pipe']),
    ],
)
def test_the_compiler_is_named_as_for_other_builds(cxx, found, tmp_path, monkeypatch):
    """Options, a launcher such as ccache, nothing at all, and a path with spaces."""
    for program in ('launcher', 'g++', 'c++', 'in two words/c++'):
        Path(tmp_path, program).parent.mkdir(exist_ok=True)
        Path(tmp_path, program).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('CXX', cxx)
    assert build.find_compiler() == found


def test_a_command_that_no_shell_reads_is_quoted(without_compiler, monkeypatch):
    monkeypatch.setenv('CXX', "g++ 'a")
    with pytest.raises(RuntimeError, match=r'expected CXX to be a command, got "g\+\+ \'a"'):
        build.load()


def test_options_of_the_compiler_are_used(cache, monkeypatch):
    """They are part of the library's name: another option makes another library."""
    monkeypatch.setenv('CXX', 'c++ -no-such-option')
    with pytest.raises(RuntimeError, match=r'c\+\+ -no-such-option could not build'):
        build.load()
    keys = {build._key(['c++', *options]) for options in ((), ('-pipe',), ('-g',))}
    assert len(keys) == 3


@pytest.mark.parametrize('kept', [0, 4096, -1], ids=['empty', 'cut short', 'a byte short'])
def test_a_damaged_library_is_built_again(kept, cache, prebuilt, monkeypatch, tmp_path):
    """Loading one that is cut short would end the process by a bus error."""
    compiler = tmp_path / 'c++'
    compiler.write_text(f'#!/bin/sh\neval "cp {prebuilt} \\${{$#}}"\n')  # to the last argument
    compiler.chmod(0o755)
    monkeypatch.setenv('CXX', str(compiler))
    build.load()
    (library,) = cache.iterdir()
    whole = library.read_bytes()
    library.unlink()  # this process has it mapped
    library.write_bytes(whole[:kept])
    build.load.cache_clear()
    assert build.load().bi_gla_args_size() == ctypes.sizeof(native._Args)
    assert list(cache.iterdir()) == [library]
    assert library.read_bytes() == whole


# Without torch, and without what the compiler takes longest for.
BUILDS = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location('build', sys.argv[1])
build = module_from_spec(spec)
spec.loader.exec_module(build)
build.FLAGS = tuple(flag for flag in build.FLAGS if flag != '-O3')
build.load()
"""


def test_processes_that_build_at_once_all_find_it(tmp_path):
    command = [sys.executable, '-c', BUILDS, build.__file__]
    env = os.environ | {'MMVIG_CACHE': str(tmp_path)}
    processes = [subprocess.Popen(command, env=env) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert [path.suffix for path in (tmp_path / 'native').iterdir()] == ['.so']
