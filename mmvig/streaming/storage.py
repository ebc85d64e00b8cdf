"""Where the numbers of a stored map lie: a file that is read and written by offset, or memory.

Not a memory map of the file: its pages would count as resident for as long as they are cached.
"""

import os
from io import FileIO
from typing import Protocol

import torch
from torch import Tensor

from .maps import Map


class Storage(Protocol):
    """Bytes that are read and written by offset."""

    def read(self, offset: int, target: memoryview) -> None: ...

    def write(self, offset: int, data: memoryview) -> None: ...

    def sync(self) -> None:
        """Return when what was written would outlive a power failure."""
        ...

    def close(self) -> None: ...


class FileStorage:
    """A file opened without a buffer."""

    def __init__(self, file: FileIO) -> None:
        self.file = file

    def read(self, offset: int, target: memoryview) -> None:
        self.file.seek(offset)
        while target:
            count = self.file.readinto(target)
            if not count:
                raise OSError(f'{self.file.name}: the file is shorter than what was written to it')
            target = target[count:]

    def write(self, offset: int, data: memoryview) -> None:
        self.file.seek(offset)
        while data:
            data = data[self.file.write(data) :]

    def sync(self) -> None:
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


class MemoryStorage:
    """Bytes in memory, for maps so small that files would only cost time."""

    def __init__(self, size: int) -> None:
        self.data = memoryview(bytearray(size))

    def read(self, offset: int, target: memoryview) -> None:
        target[:] = self.data[offset : offset + len(target)]

    def write(self, offset: int, data: memoryview) -> None:
        self.data[offset : offset + len(data)] = data

    def sync(self) -> None:
        pass

    def close(self) -> None:
        self.data = None


class StoredMap(Map):
    """A map whose rows are written once and then read, in any order.

    It has no storage before a workspace opens it, and none after its last reader.
    """

    def __init__(
        self, name: str, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(shape, dtype)
        self.name, self.device = name, device
        self.storage: Storage | None = None

    @property
    def stride(self) -> int:
        """Bytes from one row to the next."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def size(self) -> int:
        return self.shape[0] * self.stride

    def rows(self, top: int, bottom: int) -> Tensor:
        x = torch.empty((1, bottom - top, *self.shape[1:]), dtype=self.dtype)
        self._storage().read(top * self.stride, _bytes(x))
        return x.to(self.device)

    def write(self, top: int, x_BYXC: Tensor) -> None:
        x = x_BYXC.to('cpu', self.dtype).contiguous()
        self._storage().write(top * self.stride, _bytes(x))

    def _storage(self) -> Storage:
        if self.storage is None:
            raise RuntimeError(
                f'expected {self.name} to be stored; it is read only in an open workspace'
            )
        return self.storage


def _bytes(x: Tensor) -> memoryview:
    return memoryview(x.flatten().view(torch.uint8).numpy())
