"""What is to be predicted by strips, and the folder by which a killed prediction goes on."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmvig.checks.errors import UserError
from mmvig.streaming.journal import SUFFIX as MAP_SUFFIX

OnProgress = Callable[[float], None]  # told which part of the work is done, up to 1
MARK = 'prediction.json'  # whose files a folder holds


class LabelFile(NamedTuple):
    """A label image that is to be written: where, its type, and what is added to the labels."""

    path: Path
    dtype: type[np.unsignedinteger]
    first: int = 0


class Job(NamedTuple):
    """What is predicted, and where it goes.

    `folder` holds temporary files while the job runs, and is removed at its end; a job that was
    killed goes on from them. `model_file` is the checkpoint, by which the job knows that they are
    its own, None if the folder is certainly new. `strip_rows` are the rows at once, None to choose
    them by memory. Of objects, those with a score above `score_thr` are drawn, and `scale_limits`
    lets their number grow with the image.
    """

    image: Path
    labels: Sequence[LabelFile]
    folder: Path
    model_file: Path | None = None
    strip_rows: int | None = None
    score_thr: float = 0.3
    scale_limits: bool = False


@contextmanager
def claimed(job: Job) -> Iterator[None]:
    """Mark the folder as the job's, which may have begun earlier, and remove it at the end.

    After an error it stays if there is something to go on from.

    Raises:
        UserError: it is another job's.
    """
    names = {'image': job.image, 'checkpoint': job.model_file}
    states = {name: path.stat() for name, path in names.items() if path is not None}
    mark = {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
    file = job.folder / MARK
    if not file.exists():
        job.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(mark))
    elif file.read_text() != json.dumps(mark):
        raise UserError(
            f'expected {job.folder} to hold the unfinished prediction of {job.image} by '
            f'{job.model_file}, it is of another image or checkpoint: remove the folder to begin '
            'anew'
        )
    try:
        yield
    finally:
        if not any(job.folder.glob(f'*{MAP_SUFFIX}')):
            shutil.rmtree(job.folder, ignore_errors=True)
