"""Runs a plan: keeps its maps in files or in memory, and can go on where a killed run stopped."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from .disk import check_free_space
from .journal import Journal
from .maps import RollingMap, all_maps
from .plan import Pass, Plan
from .storage import FileStorage, MemoryStorage, StoredMap

RAM_BYTES = 256 * 2**20
SECONDS = 20.0


class Workspace:
    """Temporary space of one run; a context manager, and maps can be read until it ends.

    Args:
        folder: where files lie; made if it is missing. Defaults to the system's temporary folder.
        resume: give the files names, and keep them with a journal if the run fails or is killed:
            the next run with this folder goes on from there, and a run that ends removes them. By
            default files have no names, so the system frees them however the run ends.
        ram_bytes: a run that needs no more temporary space than this takes memory instead, and
            keeps nothing.
        seconds: between entries of the journal; that much work is lost at most.

    Raises:
        ValueError: it should resume, but in no folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        *,
        resume: bool = False,
        ram_bytes: int = RAM_BYTES,
        seconds: float = SECONDS,
    ) -> None:
        if resume and folder is None:
            raise ValueError('expected a folder to resume in, got None')
        self.folder = Path(tempfile.gettempdir() if folder is None else folder)
        self.resume, self.ram_bytes, self.seconds = resume, ram_bytes, seconds
        self._open: dict[str, StoredMap] = {}
        self._journal: Journal | None = None
        self._in_memory = False

    def __enter__(self) -> 'Workspace':
        return self

    def __exit__(self, kind, *_) -> None:
        for one in list(self._open.values()):
            self._close(one, remove=kind is None)
        if self._journal is not None:
            self._journal.close(remove=kind is None)
            self._journal = None

    @torch.inference_mode()
    def run(self, plan: Plan, on_progress: Callable[[float], None] | None = None) -> None:
        """Compute all passes of a plan, from where the journal says.

        Args:
            plan: what to compute; its outputs can be read until the workspace ends.
            on_progress: told after each step what part of the whole work is done, up to 1.

        Raises:
            OSError: the disk has less free space than the plan needs, said before the start.
            ForeignJournalError: the folder holds the unfinished run of something else.
        """
        start, step = self._begin(plan)
        total = sum(p.work for p in plan.passes) or 1
        done = sum(p.work for p in plan.passes[:start])
        for number in range(start, len(plan.passes)):
            current = plan.passes[number]
            if current.restarts:
                step = 0
            self._open_maps(plan.stored(number), fresh=current.writes if not step else ())
            try:
                written = time.monotonic()
                while step < current.steps:
                    current.run(step)
                    step += 1
                    if on_progress is not None:
                        on_progress((done + current.work * step / current.steps) / total)
                    if time.monotonic() - written > self.seconds:
                        self._note(number, step, current.writes)
                        written = time.monotonic()
            except BaseException:
                with contextlib.suppress(OSError):  # the first error says more
                    self._note(number, step, current.writes)
                raise
            self._forget(current)
            done, step = done + current.work, 0
            if current.restarts and number + 1 == len(plan.passes):
                break  # until the workspace ends, what it gave may be lost: it would begin again
            self._note(number + 1, 0, current.writes)
            self._close_others(plan, number + 1)

    def _begin(self, plan: Plan) -> tuple[int, int]:
        """The pass and the step to begin with."""
        if self._open or self._journal is not None:
            raise RuntimeError('a workspace serves one run; open another one')
        needed = plan.needed_bytes
        self._in_memory = needed <= self.ram_bytes
        if self._in_memory:
            return 0, 0
        self.folder.mkdir(parents=True, exist_ok=True)
        start, own = (0, 0), 0
        if self.resume:
            self._journal = Journal(self.folder, plan.fingerprint)
            start = self._journal.position()
            self._journal.keep({one.name for one in plan.stored(start[0])})
            own = self._journal.stored_bytes()
        check_free_space(self.folder, needed, 'temporary files', own)
        return start

    def _open_maps(self, maps: list[StoredMap], fresh: tuple[StoredMap, ...]) -> None:
        for one in maps:
            if one.name not in self._open:
                one.storage = self._storage(one, new=any(one is other for other in fresh))
                self._open[one.name] = one

    def _storage(self, one: StoredMap, new: bool) -> FileStorage | MemoryStorage:
        if self._in_memory:
            return MemoryStorage(one.size)
        if self._journal is None:
            return FileStorage(tempfile.TemporaryFile(dir=self.folder, buffering=0))
        return FileStorage(self._journal.open(one.name, new))

    @staticmethod
    def _forget(done: Pass) -> None:
        """Free the rows that its maps keep: they would lie beside those of all later passes."""
        for one in all_maps(*done.reads):
            if isinstance(one, RollingMap):
                one.forget()

    def _close_others(self, plan: Plan, number: int) -> None:
        """Remove what no pass from `number` on reads."""
        needed = {one.name for one in plan.stored(number)}
        for name in set(self._open) - needed:
            self._close(self._open[name], remove=True)

    def _close(self, one: StoredMap, remove: bool) -> None:
        one.storage.close()
        one.storage = None
        del self._open[one.name]
        if remove and self._journal is not None:
            self._journal.remove(one.name)

    def _note(self, number: int, step: int, maps: tuple[StoredMap, ...]) -> None:
        if self._journal is None:
            return
        for one in maps:
            one.storage.sync()
        self._journal.write(number, step)
