"""Files that are there whole or not at all, whenever a process or the machine stops."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

UNFINISHED = '.part'  # what a file's name ends in while it is written
BACKEND = 'mmvig_whole_file'


def write(path: str | Path, data: bytes) -> None:
    """Write beside `path`, bring it to the disk, rename: `path` is the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with unfinished.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:  # on a full disk what was written would be in the way of others
        unfinished.unlink(missing_ok=True)
        raise
    if hasattr(os, 'O_DIRECTORY'):  # where a folder can be opened, the new name is in it
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_unfinished(folder: str | Path) -> None:
    """Delete what a killed `write` left."""
    for path in Path(folder).glob('*' + UNFINISHED):
        path.unlink(missing_ok=True)


@register_backend(BACKEND, force=True)
class WholeFileBackend(LocalBackend):
    """mmengine's local files, written by `write`: `backend_args=dict(backend=BACKEND)`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write(filepath, obj)
