"""Python environments with a few of the installed packages, made by links: without a download."""

import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from .commands import call


class Environment(NamedTuple):
    """A folder made by `environment_with`."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / 'bin/python'

    @property
    def site(self) -> Path:
        version = '.'.join(map(str, sys.version_info[:2]))
        return self.folder / f'lib/python{version}/site-packages'

    def run(self, *arguments, cwd: Path, check: bool = True, **env) -> subprocess.CompletedProcess:
        """Its Python, blind to the working folder, the user's packages and `PYTHONPATH`."""
        return call(self.python, '-I', *arguments, cwd=cwd, check=check, **env)

    def add_path(self, folder: Path) -> None:
        """Import from this folder too, as an editable install does."""
        (self.site / 'added.pth').write_text(f'{folder}\n')


def environment_with(folder: Path, *distributions: str) -> Environment:
    """Make an environment of these distributions and what they require, as installed here.

    Raises:
        importlib.metadata.PackageNotFoundError: one of them is not installed.
    """
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    for name in required(distributions):
        distribution = metadata.distribution(name)
        for part in _parts(distribution):
            target = made.site / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():  # distributions may own a package together
                target.symlink_to(distribution.locate_file(part))
    return made


def required(distributions: Iterable[str]) -> set[str]:
    """Names of these distributions and of all that their metadata asks for here."""
    found, left = set(), [Requirement(name) for name in distributions]
    while left:
        requirement = left.pop()
        for extra in ('', *requirement.extras):
            if (requirement.name, extra) in found:
                continue
            found.add((requirement.name, extra))
            inner = map(Requirement, metadata.requires(requirement.name) or ())
            left += [x for x in inner if x.marker is None or x.marker.evaluate({'extra': extra})]
    return {name for name, _ in found}


def _parts(distribution: metadata.Distribution) -> set[str]:
    """Packages of a distribution, and files that lie in none: of a folder that distributions share,
    such as `nvidia`, what this one has there."""
    files = [str(file) for file in distribution.files or ()]
    files = [name for name in files if not name.startswith('..') and '__pycache__' not in name]
    inits = (name.rpartition('/')[0] for name in files if name.endswith('/__init__.py'))
    parts = set()
    for package in sorted(inits, key=len):
        if not any(package.startswith(f'{outer}/') for outer in parts):
            parts.add(package)
    return parts | {name for name in files if not name.startswith(tuple(f'{x}/' for x in parts))}
