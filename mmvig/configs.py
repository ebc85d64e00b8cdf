"""The configs that ship with the package, found by name from wherever it is installed."""

import difflib
from pathlib import Path

TASKS = ('det', 'seg', 'cls')


def config_root() -> Path:
    """The folder with `det/`, `seg/` and `cls/`: inside a wheel, or beside the package.

    Raises:
        FileNotFoundError: there is neither.
    """
    package = Path(__file__).resolve().parent
    folders = (package / '.mim/configs', package.parent / 'configs')
    for folder in folders:
        if all((folder / task).is_dir() for task in TASKS):
            return folder
    raise FileNotFoundError(
        f'expected the configs of mmvig at {folders[0]} (a wheel) or {folders[1]} (a checkout); '
        'install mmvig again from a wheel or with pip install -e'
    )


def list_configs() -> dict[str, Path]:
    """Paths of all configs by name, such as 'det/vig_maskrcnn'."""
    root = config_root()
    return {
        f'{task}/{path.stem}': path for task in TASKS for path in sorted((root / task).glob('*.py'))
    }


def get_config(name: str) -> str:
    """Path of a config of mmvig, for `Config.fromfile` and the APIs of the MM libraries.

    Args:
        name: 'vig_maskrcnn' or 'det/vig_maskrcnn', with or without '.py'.

    Raises:
        ValueError: there is no such config; the message names the nearest.
    """
    stem = name.removesuffix('.py')
    configs = list_configs()
    for key, path in configs.items():
        if stem in (key, key.partition('/')[2]):
            return str(path)
    known = {short for key in configs for short in (key, key.partition('/')[2])}
    close = difflib.get_close_matches(stem, known, n=3)
    hint = f'did you mean {" or ".join(close)}?' if close else 'see python -m mmvig list'
    raise ValueError(f'mmvig has no config {name!r}; {hint}')


def config_summary(path: Path) -> str:
    """The first line of a config's header: what it trains, on what data."""
    return path.read_text().split('"""')[1].strip().splitlines()[0]
