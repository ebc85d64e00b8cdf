"""What a folder of data leads to: what to tell, and a config to write."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Plan(NamedTuple):
    """What was found, and what would be written.

    Attributes:
        method: short name of the method, for the config's own.
        lines: for the user.
        problems: what has to be mended first.
        write: writes lists and annotations beside a config of the given path, if any are needed,
            and returns the text of the config.
    """

    method: str
    lines: list[str]
    problems: list[str]
    write: Callable[[Path], str]


def data_folder(config: Path) -> Path:
    """Where what belongs to a config is written."""
    return config.with_name(f'{config.stem}_data')
