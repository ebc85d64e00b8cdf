"""Files to predict, and names of their results: each has its own, whatever its suffix or folder."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

WRITABLE = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}


def name_results(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each of different files, to which results append their suffix.

    It is the stem: `a` for `a.jpg`. Where stems repeat, it is the whole name: `a.jpg` and `a.png`.
    Where these repeat too, it is the path from the folder that all files share: `one/a.jpg` and
    `two/a.jpg`. Upper and lower case count as equal, as some file systems take them so.
    """
    places = [Path(os.path.abspath(path)) for path in paths]
    shared = os.path.commonpath([place.parent for place in places]) if places else ''
    choices = [(p.stem, p.name, p.relative_to(shared).as_posix()) for p in places]
    levels = [0] * len(paths)
    while True:
        names = [choice[level] for choice, level in zip(choices, levels, strict=True)]
        counts = Counter(name.casefold() for name in names)
        repeated = [i for i, n in enumerate(names) if counts[n.casefold()] > 1 and levels[i] < 2]
        if not repeated:
            return dict(zip(paths, names, strict=True))
        for i in repeated:
            levels[i] += 1


def picture_name(path: Path, name: str) -> str:
    """The name of a picture: the suffix of its image stays if it can be written and tells."""
    keeps = name == path.stem and path.suffix.lower() in WRITABLE
    return name + (path.suffix if keeps else '.png')


def file_name(path: Path, name: str) -> str:
    """How lists of results call a file: by its own name, or by its path where names repeat."""
    return path.name if name in (path.stem, path.name) else name


def find_files(names: Sequence[str], suffixes: Collection[str]) -> list[Path]:
    """The files named, and those with one of the suffixes in the folders named, each once.

    Raises:
        FileNotFoundError: there is nothing of a name, or nothing in a folder.
    """
    files = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
            if not inside:
                raise FileNotFoundError(f'expected images in the folder {path}, found none')
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f'expected an image or a folder at {path}, there is none')
    return drop_repeated(files)


def drop_repeated(paths: Sequence[Path]) -> list[Path]:
    """Each file once, such as an image that was named beside its folder."""
    return list({os.path.abspath(path): path for path in reversed(paths)}.values())[::-1]
