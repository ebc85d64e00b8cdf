"""A drawn set comes into being once and whole."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import barrier, get_rank


def draw_once(
    root: Path, is_drawn: Callable[[], bool], draw: Callable[[Path], None], name: str
) -> None:
    """Let a set stand in `root`, unless it is drawn already; of several processes, the first draws.

    Args:
        root: the folder of the set, which may exist and be empty.
        is_drawn: whether the set is there.
        draw: draws the set into the empty folder that it is given.
        name: of the set, in messages.

    Raises:
        OSError: the set could not be drawn; nothing of it is left.
    """
    if get_rank() == 0 and not is_drawn():
        _draw_beside(root, is_drawn, draw, name)
    barrier()


def _draw_beside(root: Path, is_drawn, draw, name: str) -> None:
    """Draw into a folder beside `root`, then rename it: a killed process leaves no partial set."""
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'{root.name}.', dir=root.parent))
    partial.chmod(0o755)
    try:
        draw(partial)
        os.replace(partial, root)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not is_drawn():  # else another program was faster
            raise OSError(f'could not draw {name} into {root}: {error}') from error
