"""Builds C++ for this processor with the system's compiler, once, and loads it."""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
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
def load(source: Path = SOURCE) -> ctypes.CDLL:
    """The library of a C++ file, by default bi_gla.cpp.

    The headers beside it may be parts of it, and those of this folder.

    Built when there is none for this source, compiler and processor. One that was cut short or
    changed since is built again: it would end the process.

    Raises:
        RuntimeError: no Linux, no compiler, or it failed; the message has its output.
    """
    if sys.platform != 'linux':
        raise RuntimeError(f'the native backend needs Linux, this is {sys.platform}')
    compiler = find_compiler()
    library = cache_folder() / f'{source.stem}-{_key(compiler, source)}.so'
    if not _is_whole(library):
        _build(compiler, source, library)
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


def find_compiler() -> list[str]:
    """The command that $CXX says, with options or a launcher as in 'ccache g++ -pipe', or c++.

    Raises:
        RuntimeError: there is no such program.
    """
    asked = os.environ.get('CXX', '').strip() or 'c++'
    try:
        command = [asked] if shutil.which(asked) else shlex.split(asked)
    except ValueError as error:
        raise RuntimeError(f'expected CXX to be a command, got {asked!r}: {error}') from None
    if shutil.which(command[0]) is None:
        raise RuntimeError(
            f'the native backend needs a C++ compiler, and there is no {command[0]!r} (Debian: '
            'apt-get install g++; or name one with CXX=…)'
        )
    return command


def _key(compiler: list[str], source: Path = SOURCE) -> str:
    """What the machine code depends on: homes are shared between machines."""
    version = subprocess.run([*compiler, '--version'], capture_output=True, check=False).stdout
    processor = platform.machine()
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith(('flags', 'Features')):
            processor += line
            break
    options = ' '.join([*FLAGS, *compiler[1:]])
    headers = {path for folder in (source.parent, SOURCE.parent) for path in folder.glob('*.h')}
    sources = (path.read_bytes() for path in (source, *sorted(headers)))
    parts = (*sources, version, processor.encode(), options.encode())
    return hashlib.sha256(b'\0'.join(parts)).hexdigest()[:20]


def _is_whole(library: Path) -> bool:
    """Whether it ends with the digest of the rest, as `_build` leaves it."""
    if not library.is_file():
        return False
    content = library.read_bytes()
    size = hashlib.sha256().digest_size
    return hashlib.sha256(content[:-size]).digest() == content[-size:]


def _build(compiler: list[str], source: Path, library: Path) -> None:
    """Build beside and rename: of several processes each finds a whole library or none."""
    library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        part = Path(folder, library.name)
        done = subprocess.run(
            [*compiler, *FLAGS, str(source), '-o', str(part)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(
                f'{shlex.join(compiler)} could not build {source}:\n{done.stderr[-2000:]}'
            )
        content = part.read_bytes()
        part.write_bytes(content + hashlib.sha256(content).digest())  # loaders ignore what follows
        os.replace(part, library)
