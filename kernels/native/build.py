"""Builds bi_gla.cpp for this processor with the system's C++ compiler, once, and loads it."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

SOURCE = Path(__file__).with_name('bi_gla.cpp')
FLAGS = ('-std=c++17', '-O3', '-march=native', '-funroll-loops', '-ffp-contract=fast',
         '-fno-math-errno', '-fno-trapping-math', '-fopenmp', '-shared', '-fPIC')  # fmt: skip


def cache_folder() -> Path:
    """$MMVIG_CACHE, or mmvig in the user's cache folder."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get('MMVIG_CACHE') or Path(cache, 'mmvig')) / 'native'


@functools.cache
def load() -> ctypes.CDLL:
    """The library of bi_gla.cpp; built when there is none for this source, compiler and processor.

    Raises:
        RuntimeError: no Linux, no compiler, or it failed; the message has its output.
    """
    if sys.platform != 'linux':
        raise RuntimeError(f'the native backend needs Linux, this is {sys.platform}')
    compiler = shutil.which(os.environ.get('CXX', 'c++'))
    if compiler is None:
        raise RuntimeError(
            "the native backend needs a C++ compiler, and there is no 'c++' (Debian: apt-get "
            'install g++; or name one with CXX=…)'
        )
    library = cache_folder() / f'bi_gla-{_key(compiler)}.so'
    if not library.is_file():
        _build(compiler, library)
    return ctypes.CDLL(str(library))


@functools.cache
def unavailable_reason() -> str | None:
    """Why the backend cannot run here, said once as a warning; None where it can."""
    try:
        load()
    except (RuntimeError, OSError) as error:
        warnings.warn(f'bi_gla runs in its slower chunk form: {error}', stacklevel=2)
        return str(error)
    return None


def _key(compiler: str) -> str:
    """What the machine code depends on: homes are shared between machines."""
    version = subprocess.run([compiler, '--version'], capture_output=True, check=False).stdout
    processor = platform.machine()
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith(('flags', 'Features')):
            processor += line
            break
    parts = (SOURCE.read_bytes(), version, processor.encode(), ' '.join(FLAGS).encode())
    return hashlib.sha256(b'\0'.join(parts)).hexdigest()[:20]


def _build(compiler: str, library: Path) -> None:
    """Build beside and rename: of several processes each finds a whole library or none."""
    library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        part = Path(folder, library.name)
        done = subprocess.run(
            [compiler, *FLAGS, str(SOURCE), '-o', str(part)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f'{compiler} could not build {SOURCE}:\n{done.stderr[-2000:]}')
        os.replace(part, library)
