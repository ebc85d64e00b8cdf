"""The files of a folder of data, and what their names say."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from mmvig.checks.errors import UserError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
WORDS = {
    'train': ('train', 'training', 'trainset'),
    'val': ('val', 'valid', 'validation', 'dev'),
    'test': ('test', 'testing', 'testset'),
}


class Folder:
    """A folder of data, listed once.

    Args:
        root: its path.

    Attributes:
        name: of the folder, that of a link if it is one.
        files: all files, relative to the root, in order; without hidden ones and folders.

    Raises:
        UserError: there is no such folder, or it is empty.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f'expected a folder of data at {root}, there is none')
        self.name = Path(os.path.abspath(root)).name or 'data'
        self.files: list[PurePosixPath] = []
        seen: set[str] = set()  # a link may lead to a folder above it
        for place, folders, names in os.walk(self.root, followlinks=True):
            real = os.path.realpath(place)
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            inside = PurePosixPath(Path(place).relative_to(self.root).as_posix())
            self.files += [inside / name for name in sorted(names) if not name.startswith('.')]
        if not self.files:
            raise UserError(f'expected a folder of data at {root}, it is empty')

    def with_suffix(self, *suffixes: str) -> list[PurePosixPath]:
        """Files whose name ends so, in small or capital letters."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def images(self) -> list[PurePosixPath]:
        return self.with_suffix(*IMAGE_SUFFIXES)


def split_of(path: PurePosixPath) -> str | None:
    """The split that the name of a file or of a folder above it names; the nearest counts."""
    for part in reversed(path.parts):
        words = re.split('[^a-z]+', part.lower())
        for split, names in WORDS.items():
            if any(word in names for word in words):
                return split
    return None


def common_folder(paths: Iterable[PurePosixPath]) -> PurePosixPath:
    """The deepest folder that all paths are in."""
    parents = [path.parent.parts for path in paths]
    return PurePosixPath(*os.path.commonprefix(parents)) if parents else PurePosixPath()


def prefix_of(names: Sequence[str], images: Sequence[PurePosixPath]) -> str | None:
    """The folder from which file names of annotations lead to images; None if none does.

    Args:
        names: as the annotations have them.
        images: of the folder. Of several folders with images of the names the one with the most
            is taken, then the first.
    """
    by_name: dict[str, list[str]] = {}
    for image in images:
        by_name.setdefault(image.name, []).append(str(image))
    counts: dict[str, int] = {}
    for name in names:
        name = name.removeprefix('./')
        for path in by_name.get(PurePosixPath(name).name, ()):
            if path == name or path.endswith(f'/{name}'):
                prefix = path[: len(path) - len(name)]
                counts[prefix] = counts.get(prefix, 0) + 1
    return max(counts, key=counts.get) if counts else None
