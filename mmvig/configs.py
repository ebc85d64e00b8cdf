"""The configs that ship with the package, found by name from wherever it is installed."""

import difflib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

TASKS = ('det', 'seg', 'cls', 'real')  # the last: detection on public sets that a laptop trains


def config_root() -> Path:
    """The folder with `det/`, `seg/`, `cls/` and `real/`: inside a wheel, or beside the package.

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

    Bases of the MM libraries, `_base_ = 'mmseg::…'`, are found from then on in this process.

    Raises:
        ValueError: there is no such config; the message names the nearest.
    """
    find_library_bases()
    stem = name.removesuffix('.py')
    configs = list_configs()
    for key, path in configs.items():
        if stem in (key, key.partition('/')[2]):
            return str(path)
    known = {short for key in configs for short in (key, key.partition('/')[2])}
    close = difflib.get_close_matches(stem, known, n=3)
    hint = f'did you mean {" or ".join(close)}?' if close else 'see python -m mmvig list'
    raise ValueError(f'mmvig has no config {name!r}; {hint}')


def find_library_bases() -> None:
    """Let `_base_ = 'mmseg::…'` find the configs of mmseg from whichever package it was installed.

    mmengine looks for a distribution of a fixed name, `mmsegmentation`, which the maintained fork
    is not. By the name of the module it finds both.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    for module, package in MODULE2PACKAGE.items():
        if package != module and not _is_distribution(package) and find_spec(module):
            MODULE2PACKAGE[module] = module


def _is_distribution(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def config_summary(path: Path) -> str:
    """The first line of a config's header: what it trains, on what data."""
    return path.read_text().split('"""')[1].strip().splitlines()[0]
