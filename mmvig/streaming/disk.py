"""Whether a disk has room for what is to be written."""

import errno
import shutil
from pathlib import Path


def check_free_space(path: Path, needed: int, purpose: str, own: int = 0) -> None:
    """Refuse a disk that is too small before anything is written to it.

    Args:
        path: the file or folder that the message names; it, or the folder it lies in, exists.
        needed: bytes.
        purpose: what they are for, in the message.
        own: bytes of it that are there already.

    Raises:
        OSError: with `errno.ENOSPC`.
    """
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free + own
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f'expected {_gib(needed)} of free disk space for {purpose}, got {_gib(free)}; make '
            'room, or choose a folder on another disk',
            str(path),
        )


def _gib(count: int) -> str:
    return f'{count / 2**30:.2f} GiB'
