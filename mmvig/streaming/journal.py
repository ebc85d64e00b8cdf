"""What a killed run leaves behind: named files, and how far it has come."""

import json
import os
from io import FileIO
from pathlib import Path

from .errors import ForeignJournalError

try:
    import fcntl
except ImportError:  # not a POSIX system: two runs in one folder are not noticed
    fcntl = None

NAME = 'mmvig-journal.json'
SUFFIX = '.mmvig-map'
FORMAT = 1


class Journal:
    """The position of a run in its folder; one process at a time.

    Raises:
        ForeignJournalError: the folder holds an unfinished run with another fingerprint, or
            another process works in it.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.path = folder, folder / NAME
        self.fingerprint = fingerprint
        self._lock = (folder / 'mmvig-lock').open('w')
        if not _lock(self._lock):
            self._lock.close()
            raise ForeignJournalError(
                f'{folder}: another process works there; expected a folder of its own'
            )
        self._found = self._read()

    def _read(self) -> dict | None:
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get('fingerprint') != self._identity():
            self._lock.close()
            raise ForeignJournalError(
                f'{self.folder}: holds the unfinished run of another model, image or setting; '
                f'go on with that one, or remove {NAME} and *{SUFFIX} from the folder'
            )
        return found

    def _identity(self) -> str:
        return f'{FORMAT}-{self.fingerprint}'

    def position(self) -> tuple[int, int]:
        """The pass and the step that come next."""
        return (self._found['pass'], self._found['step']) if self._found else (0, 0)

    def stored_bytes(self) -> int:
        """Of the disk, what files of this run take already."""
        return sum(path.stat().st_size for path in self.folder.glob(f'*{SUFFIX}'))

    def write(self, number: int, step: int) -> None:
        found = {'fingerprint': self._identity(), 'pass': number, 'step': step}
        part = self.path.with_suffix('.part')
        with part.open('w') as file:
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def keep(self, names: set[str]) -> None:
        """Remove all files but these: a run killed between two passes leaves more than it needs."""
        for path in self.folder.glob(f'*{SUFFIX}'):
            if path.name.removesuffix(SUFFIX) not in names:
                path.unlink()

    def open(self, name: str, new: bool) -> FileIO:
        return open(self._file(name), 'w+b' if new else 'r+b', buffering=0)

    def remove(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def close(self, remove: bool) -> None:
        if remove:
            for path in (*self.folder.glob(f'*{SUFFIX}'), self.path):
                path.unlink(missing_ok=True)
            Path(self._lock.name).unlink()
        self._lock.close()

    def _file(self, name: str) -> Path:
        return self.folder / f'{name}{SUFFIX}'


def _lock(file) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
