"""Files written atomically: whenever a process or the machine stops, they are whole or absent."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

PARTIAL_SUFFIX = '.part'  # of a file's name while it is written
BACKEND = 'mmvig_atomic'


def write(path: str | Path, data: bytes) -> None:
    """Write beside `path`, bring it to the disk, rename: `path` is the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with partial.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:  # on a full disk a partial file would take space from others
        partial.unlink(missing_ok=True)
        raise
    if hasattr(os, 'O_DIRECTORY'):  # where a folder can be opened, bring the new name to the disk
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_partial(folder: str | Path) -> None:
    """Delete what a killed `write` left."""
    for path in Path(folder).glob('*' + PARTIAL_SUFFIX):
        path.unlink(missing_ok=True)


@register_backend(BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """mmengine's local files, written by `write`: `backend_args=dict(backend=BACKEND)`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write(filepath, obj)
