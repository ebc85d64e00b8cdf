"""Settings of a config that would otherwise fail late, far from their cause, or not at all."""

import math
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config

from .errors import UserError


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 1


def _is_pair(value) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))


# Setting, with * for train, val and test → what it must be in words, and the test for it.
_COUNT = ('a whole number, 1 or more', _is_count)
_RATE = (
    'a number, 0 or more',
    lambda value: _is_number(value) and math.isfinite(value) and value >= 0,
)
_PAIR = ('two whole numbers, height and width, 1 or more', _is_pair)
_PATH = ('a path', lambda value: isinstance(value, str))
SETTINGS = {
    'work_dir': _PATH,
    'load_from': _PATH,
    '*_dataloader.batch_size': _COUNT,
    '*_dataloader.num_workers': (
        'a whole number, 0 or more',
        lambda value: value == 0 or _is_count(value),
    ),
    'train_cfg.max_epochs': _COUNT,
    'train_cfg.max_iters': _COUNT,
    'train_cfg.val_interval': _COUNT,
    'optim_wrapper.optimizer.lr': _RATE,
    'optim_wrapper.optimizer.weight_decay': _RATE,
    'optim_wrapper.accumulative_counts': _COUNT,
    'auto_scale_lr.base_batch_size': _COUNT,
    'model.backbone': ('a dict', lambda value: hasattr(value, 'keys')),
}
SECTIONS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}


def check_settings(cfg: Config) -> None:
    """Numbers are numbers and in their range, in sections that mmengine does not check.

    Raises:
        UserError: names the setting, what it must be and what it is.
    """
    for pattern, (expected, fits) in SETTINGS.items():
        splits = ('train', 'val', 'test') if pattern.startswith('*') else ('',)
        for split in splits:
            path = pattern.replace('*', split)
            value = _get(cfg, path)
            if value is not None and not fits(value):
                raise UserError(f'expected {path} to be {expected}, got {value!r}')
    if cfg.get('default_scope') == 'mmseg':
        _check_sliding_window(_get(cfg, 'model.test_cfg') or {})


def _check_sliding_window(test_cfg: dict) -> None:
    """What mmseg reads at its first prediction, which in training is after the first steps."""
    mode = test_cfg.get('mode', 'whole')
    if mode not in ('whole', 'slide'):
        raise UserError(f"expected model.test_cfg.mode to be 'whole' or 'slide', got {mode!r}")
    if mode == 'whole':
        return
    expected, fits = _PAIR
    for name in ('crop_size', 'stride'):
        value = test_cfg.get(name)
        if not fits(value):
            got = 'none' if value is None else repr(value)
            raise UserError(
                f"expected model.test_cfg.{name} of mode='slide' to be {expected}, got {got}"
            )
    crop, stride = tuple(test_cfg['crop_size']), tuple(test_cfg['stride'])
    if any(step > size for step, size in zip(stride, crop, strict=True)):
        raise UserError(
            f'expected model.test_cfg.stride of at most the crop_size {crop}, as windows would '
            f'leave pixels out, got {stride}'
        )


def check_sections(cfg: Config, *tasks: str) -> None:
    """The sections that a task cannot do without are in the config.

    Raises:
        UserError: names the one that is not.
    """
    for section in ('model', *(name for task in tasks for name in SECTIONS[task])):
        value = cfg.get(section)
        if value is None or not (value or section.endswith('_cfg')):  # the usual loop is `dict()`
            raise UserError(f'expected the config to have a section {section!r}, it has none')


def check_dataset(split: str, dataset) -> None:
    """A data set's config is a dict with a type.

    Raises:
        UserError: it is not.
    """
    place = f'{split}_dataloader.dataset'
    if not hasattr(dataset, 'get'):
        raise UserError(f'expected {place} to be a dict, got {dataset!r}')
    if 'type' not in dataset:
        raise UserError(f'expected a type in {place}, got only {", ".join(dataset) or "nothing"}')


def check_device(name: str | None) -> None:
    """A device that torch knows and this machine has.

    Raises:
        UserError: it does not; lists the devices there are.
    """
    if name is None:
        return
    devices = ['cpu', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))]
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    known = device is not None and device.type in ('cpu', 'cuda')
    if known and device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        known = False
    if not known:
        raise UserError(f'expected --device to be one of {", ".join(devices)}, got {name}')


def check_folder(path: str | Path, what: str) -> None:
    """Files can be written into a folder, which is made if need be.

    Raises:
        UserError: they cannot; says why.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f'expected {what} to be a folder in which files can be written, {path} is not: '
            f'{error.strerror}'
        ) from error


def _get(node, path: str):
    for part in path.split('.'):
        if not hasattr(node, 'get'):
            return None
        node = node.get(part)
    return node
