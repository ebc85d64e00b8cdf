"""Which of many files exist."""

from pathlib import Path


class ExistingFiles:
    """`path in ExistingFiles()`: asked by listing folders, each once.

    One question per file would be slow on network disks.
    """

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def __contains__(self, path: Path) -> bool:
        folder = path.parent
        if folder not in self._names:
            entries = folder.iterdir() if folder.is_dir() else ()
            self._names[folder] = {entry.name for entry in entries}
        return path.name in self._names[folder]
