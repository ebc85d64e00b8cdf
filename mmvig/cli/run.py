"""What `train` and `test` share: options, the config and its checks, processes, errors."""

import argparse
import difflib
import functools
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import barrier
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmvig import checkpoint, safe_globals
from mmvig.zoo import get_config

from . import processes

# Dicts without a type whose names are checked by what they configure.
_OPEN_DICTS = ('default_hooks', 'env_cfg', 'dataloader', 'log_processor')
_TOP_LEVEL = {
    'custom_imports',
    'runner_type',
    'strategy',
    'compile',
    'auto_scale_lr',
    'tta_model',
    'tta_pipeline',
    'backend_args',
}


class UserError(Exception):
    """Something the user can mend; the message says what and how, without a traceback."""


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Report a `UserError` in one line on stderr and exit with status 2."""

    @functools.wraps(function)
    def run() -> None:
        # No loader, also not one that retries, may run code from a checkpoint.
        os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
        safe_globals.allow()
        mmengine_checkpoint.get_torch_safe_globals = list  # its own list allows too much
        try:
            function()
        except UserError as error:
            sys.stderr.write(f'error: {error}\n')
            sys.exit(2)

    return run


def parser(description: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument('config', help='path of a config file, or name of one of mmvig')
    result.add_argument('--work-dir', help='where logs and checkpoints go')
    result.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='KEY=VALUE … over the config',
    )
    result.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    result.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)
    return result


def read_config(name: str) -> Config:
    """The config at a path, or the one of mmvig with that name."""
    path = Path(name)
    if not path.is_file():
        if path.suffix == '.py' or path.is_dir():
            raise UserError(f'expected a config file at {name}, there is none')
        try:
            path = get_config(name)
        except (ValueError, FileNotFoundError) as error:
            raise UserError(error) from error
    return Config.fromfile(path)


def load_config(args: argparse.Namespace) -> Config:
    """The config with the command line merged in, and its keys checked."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    _check_top_level(cfg)
    for key in args.cfg_options:
        _check_option(cfg, key)
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    _join(cfg)
    return cfg


def _join(cfg: Config) -> None:
    try:
        processes.join(cfg)
    except ValueError as error:
        raise UserError(error) from error
    except RuntimeError as error:
        raise UserError(processes.lost(error) or error) from error


def _check_top_level(cfg: Config) -> None:
    """A misspelt section would be ignored by the runner without a word."""
    known = _TOP_LEVEL | set(inspect.signature(Runner.__init__).parameters)
    for key, value in cfg.items():
        if key not in known and isinstance(value, dict) and (close := _close(key, known)):
            raise UserError(f'the config has a section {key!r} that nothing reads{close}')


def _check_option(cfg: Config, key: str) -> None:
    node, path = cfg, []
    for part in key.split('.'):
        if isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(
                    f'--cfg-options {key}: {".".join(path)} is a list of {len(node)}, expected an '
                    f'index below that, got {part!r}'
                )
            node = node[int(part)]
        elif not hasattr(node, 'keys'):
            return
        elif part in node:
            node = node[part]
        else:
            known = set(node.keys())
            if not path:
                known |= _TOP_LEVEL | set(inspect.signature(Runner.__init__).parameters)
            open_dict = any(p.endswith(_OPEN_DICTS) for p in path)
            if part not in known and 'type' not in node and not open_dict:
                place = '.'.join(path) or 'the config'
                raise UserError(
                    f'--cfg-options {key}: {place} has no {part!r}{_close(part, known)}'
                )
            return
        path.append(part)


def _close(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f'; did you mean {found[0]!r}?' if found else ''


def check_data(cfg: Config, *splits: str) -> None:
    """Every annotation file and image folder of the splits' data sets must be there."""
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for dataset in _datasets(loader.dataset) if loader else ():
            _check_dataset(split, dataset)
        evaluators = cfg.get(f'{split}_evaluator') or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            path = evaluator.get('ann_file')
            drawn = loader and loader.dataset.type.startswith('mmvig.Mini')
            if path and '://' not in path and not drawn and not Path(path).is_file():
                raise UserError(
                    f'the {split} evaluator has no annotations: expected {path}. Name their place: '
                    f'--cfg-options {split}_evaluator.ann_file=FILE'
                )


def _datasets(dataset: dict) -> Iterator[dict]:
    """The data sets inside any wrappers."""
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    if not inner:
        yield dataset
    for wrapped in inner:
        yield from _datasets(wrapped)


def _check_dataset(split: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    if dataset.get('backend_args') or '://' in root or dataset['type'].startswith('mmvig.Mini'):
        return  # remote, or drawn on first use
    wanted = [dataset.get('ann_file')]
    wanted += [p for p in (dataset.get('data_prefix') or {}).values() if isinstance(p, str)]
    for name in wanted:
        if name and not (path := Path(root, name)).exists():
            raise UserError(
                f'the {split} data are not there: expected {path}. Put or link the data set under '
                f'{root or "that place"}, or name its place: --cfg-options '
                f"{split}_dataloader.dataset.data_root=DIR (and the evaluator's ann_file)"
            )


def read_checkpoint(path: str) -> dict:
    """A checkpoint must be readable without running code from it."""
    try:
        return checkpoint.read(path)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(error) from error


def run(cfg: Config, action: Callable[[Runner], None]) -> None:
    """Build the runner and let `action` use it."""
    try:
        _act(cfg, action)
    except RuntimeError as error:
        if message := processes.lost(error):
            raise UserError(message) from error
        raise
    finally:
        gc.collect()  # what still holds the process group must go before it
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        logging.shutdown()


def _act(cfg: Config, action: Callable[[Runner], None]) -> None:
    runner = RUNNERS.build(cfg)
    action(runner)
    barrier()  # no process leaves while another one still needs it
