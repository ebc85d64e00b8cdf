"""Maps whose rows are computed when they are asked for: what strips are made of.

A model becomes a graph of maps: reading rows of the last one reads the rows that they need of those
before. Dimension letters as in mmvig/models/layers/gated_linear_attention.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Map(ABC):
    """A map [Y, X, C] of one image, read by rows.

    Attributes:
        shape: Y, X, C.
        dtype: of the numbers that `rows` returns.
        sources: the maps that it is computed of.
        work: multiply-adds of computing all rows, without those of the sources.
        row_bytes: about what one row takes while it is computed.
        readers: how many maps are computed of it.
    """

    COPIES = 1  # of a row that are alive at once

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        sources: Sequence['Map'] = (),
        work: float = 0,
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.sources = tuple(sources)
        self.work = work
        self.row_bytes = self.COPIES * self.shape[1] * self.shape[2] * dtype.itemsize
        self.readers = 0
        for source in self.sources:
            source.readers += 1

    @abstractmethod
    def rows(self, top: int, bottom: int) -> Tensor:
        """Rows top … bottom - 1, [1, rows, X, C]; not to be changed in place."""

    @torch.inference_mode()
    def read(self, top: int, bottom: int) -> np.ndarray:
        """Rows top … bottom - 1 as an array [rows, X, C]."""
        return self.rows(top, bottom)[0].cpu().numpy()

    def padded(self, top: int, bottom: int) -> Tensor:
        """Rows of which those beyond the map are zeros."""
        first, last = max(top, 0), min(bottom, self.shape[0])
        inside = self.rows(first, last)
        missing = first - top, bottom - last
        return F.pad(inside, (0, 0, 0, 0, *missing)) if any(missing) else inside


class RollingMap(Map):
    """Keeps the rows last read, for who reads from the top to the bottom in overlapping windows.

    Any other order is right too, and computes rows again.
    """

    COPIES = 3
    MARGIN = 4  # rows kept above the last window where a second reader may lag

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self._top, self._kept = 0, None

    @abstractmethod
    def compute(self, top: int, bottom: int) -> Tensor:
        """See `rows`."""

    def rows(self, top: int, bottom: int) -> Tensor:
        end = self._top + (0 if self._kept is None else self._kept.shape[1])
        if self._kept is None or not self._top <= top <= end:
            self._kept = None
            self._top, self._kept = top, self.compute(top, bottom)
        elif bottom > end:
            first = max(self._top, top - (self.MARGIN if self.readers > 1 else 0))
            # A copy, so that the rows before it are free while new ones are computed.
            self._top, self._kept = first, self._kept[:, first - self._top :].clone()
            self._kept = torch.cat([self._kept, self.compute(end, bottom)], dim=1)
        return self._kept[:, top - self._top : bottom - self._top]

    def forget(self) -> None:
        """Free the rows that are kept; later reads compute them again."""
        self._kept = None


class Tokenwise(Map):
    """A function of each position alone, given as a module of channels-last maps."""

    COPIES = 2

    def __init__(self, source: Map, module: nn.Module) -> None:
        size = sum(p.numel() for p in module.parameters())
        super().__init__(source.shape, source.dtype, [source], pixels(source) * size)
        self.module = module

    def rows(self, top: int, bottom: int) -> Tensor:
        return self.module(self.sources[0].rows(top, bottom))


class Sum(RollingMap):
    """The sum of maps of one shape."""

    def __init__(self, *sources: Map) -> None:
        super().__init__(sources[0].shape, sources[0].dtype, sources)

    def compute(self, top: int, bottom: int) -> Tensor:
        first, *others = (source.rows(top, bottom) for source in self.sources)
        return sum(others, start=first)


class Concatenation(Map):
    """The channels of maps of one height and width, one after the other."""

    def __init__(self, *sources: Map) -> None:
        channels = sum(source.shape[2] for source in sources)
        super().__init__((*sources[0].shape[:2], channels), sources[0].dtype, sources)

    def rows(self, top: int, bottom: int) -> Tensor:
        # Written part by part: all parts at once beside their concatenation would be twice as much.
        out, first = None, 0
        for source in self.sources:
            part = source.rows(top, bottom)
            if out is None:
                out = part.new_empty(*part.shape[:3], self.shape[2])
            out[..., first : first + part.shape[3]] = part
            first += part.shape[3]
        return out


def pixels(source: Map) -> int:
    return source.shape[0] * source.shape[1]


def all_maps(*maps: Map) -> Iterator[Map]:
    """The maps and all that they are computed of, each once."""
    found, waiting = set(), list(maps)
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found.add(id(one))
            waiting.extend(one.sources)
            yield one
