"""What there is to compute, in passes over strips, before any of it is computed.

A pass is cut into steps, each of which reads rows of stored maps and writes rows of others, and
depends on nothing else: so a run can stop after any step and go on from there.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .maps import Map, all_maps, pixels
from .storage import StoredMap

MEMORY_BYTES = 2**30
STRIP_TOKENS = 2**17  # more in a strip cost memory and gain no time
HALO_ROWS = 2  # about what the maps of a strip need beyond its own rows
STORED_WORK = 64  # reading and writing a number, in multiply-adds

Strip = tuple[int, int]


@dataclass
class Pass:
    """One walk over strips.

    Attributes:
        name: of the pass.
        steps: how many; each is `run(step)`.
        reads: maps that steps read, or are computed of.
        writes: maps that steps write.
        work: multiply-adds, about.
        restarts: whether a run that goes on has to begin this pass again, because what it gives
            is outside of the workspace.
    """

    name: str
    steps: int
    run: Callable[[int], None]
    reads: tuple[Map, ...]
    writes: tuple[StoredMap, ...]
    work: float
    restarts: bool = False


@dataclass
class Plan:
    """The passes of a run, and the maps that they hand on.

    Args:
        like: a tensor with the dtype and the device of the model.
        strip_rows: rows of a strip, of whatever map is written; None to choose by memory.
        memory_bytes: what the maps of a strip may take together.
    """

    like: Tensor
    strip_rows: int | None = None
    memory_bytes: int = MEMORY_BYTES
    passes: list[Pass] = field(default_factory=list)
    outputs: list[Map] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.strip_rows is not None and self.strip_rows < 1:
            raise ValueError(f'expected strip_rows to be 1 or more, got {self.strip_rows}')
        self.identity = hashlib.sha256()

    def store(
        self, name: str, shape: tuple[int, int, int], dtype: torch.dtype | None = None
    ) -> StoredMap:
        """A map that passes write and read."""
        return StoredMap(name, shape, dtype or self.like.dtype, self.like.device)

    def strips(self, rows: int, columns: int, *maps: Map, working: int = 0) -> list[Strip]:
        """A map of `rows` cut into strips, for each of which the memory suffices.

        It holds what of `maps` a strip needs, and `working` bytes more for each row.
        """
        height = self.strip_rows
        if height is None:
            found = list(all_maps(*maps))
            fixed = sum(HALO_ROWS * one.row_bytes for one in found)
            slope = working + sum(one.row_bytes * one.shape[0] / rows for one in found)
            height = min((self.memory_bytes - fixed) / slope, STRIP_TOKENS / columns)
        height = max(1, int(height))
        return [(top, min(top + height, rows)) for top in range(0, rows, height)]

    def write(self, source: Map, name: str) -> StoredMap:
        """A pass that computes a map from top to bottom and stores it."""
        target = self.store(name, source.shape, source.dtype)
        strips = self.strips(*source.shape[:2], source)

        def run(step: int) -> None:
            top, bottom = strips[step]
            target.write(top, source.rows(top, bottom))

        self.add(name, len(strips), run, [source], [target])
        return target

    def add(
        self,
        name: str,
        steps: int,
        run: Callable[[int], None],
        reads: Sequence[Map],
        writes: Sequence[StoredMap] = (),
        work: float = 0,
        restarts: bool = False,
    ) -> None:
        """Append a pass; the work of the maps that it computes is added to `work`."""
        for one in all_maps(*reads):
            work += one.work
            if isinstance(one, StoredMap):
                work += STORED_WORK * pixels(one) * one.shape[2]
        self.passes.append(Pass(name, steps, run, tuple(reads), tuple(writes), work, restarts))

    def stored(self, number: int) -> list[StoredMap]:
        """The maps that have to lie somewhere during a pass: written so far, and still read."""
        written = [one for p in self.passes[: number + 1] for one in p.writes]
        # After the last pass that is what the outputs are computed of.
        later = [one for p in self.passes[number:] for one in (*p.reads, *p.writes)]
        needed = {id(one) for one in all_maps(*later, *self.outputs)}
        return [one for one in written if id(one) in needed]

    @property
    def needed_bytes(self) -> int:
        """The most temporary space that is taken at any time."""
        counts = range(len(self.passes))
        return max((sum(one.size for one in self.stored(n)) for n in counts), default=0)

    @property
    def fingerprint(self) -> str:
        """Equal for runs of which one can go on where the other stopped."""
        identity = self.identity.copy()
        for p in self.passes:
            maps = [(one.name, one.shape, str(one.dtype)) for one in p.writes]
            identity.update(repr((p.name, p.steps, maps)).encode())
        return identity.hexdigest()
