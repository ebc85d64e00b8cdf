"""What `train` and `test` share: options, the config and its checks, processes, errors."""

import argparse
import difflib
import functools
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import barrier
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmvig import checkpoint
from mmvig.apis.inference import Predictor
from mmvig.checkpoint import safe_globals
from mmvig.checks import errors
from mmvig.checks.config import check_device, check_folder, check_settings
from mmvig.checks.errors import UserError
from mmvig.configs import get_config
from mmvig.engine import distributed
from mmvig.engine.runner import CheckedRunner, check_widths

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


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Report what the user can mend in one line on stderr and exit with status 2."""

    @functools.wraps(function)
    def run() -> None:
        # No loader, also not one that retries, may run code from a checkpoint.
        os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
        safe_globals.allow()
        mmengine_checkpoint.get_torch_safe_globals = list  # its own list allows too much
        try:
            function()
        except (UserError, OSError) as error:
            errors.report(error)
            sys.exit(2)

    return run


class Options(DictAction):
    """mmengine's KEY=VALUE, with a message for what is not of that form."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for text in values:
            key, equals, _ = text.partition('=')
            if not equals or not all(key.split('.')):
                raise UserError(f'expected KEY=VALUE after {option_string}, got {text!r}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError, SyntaxError) as error:
            raise UserError(
                f'{option_string} {" ".join(values)}: {errors.one_line(error)}'
            ) from error


def parser(description: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument('config', help='path of a config file, or name of one of mmvig')
    result.add_argument('--work-dir', help='where logs and checkpoints go')
    result.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
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
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program, which can fail in every way
        raise UserError(
            f'expected a config in {path}, it cannot be read: {type(error).__name__}: '
            f'{errors.one_line(error)}'
        ) from error


def load_config(args: argparse.Namespace) -> Config:
    """The config with the command line merged in, and its keys checked."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    _check_top_level(cfg)
    for key in args.cfg_options:
        _check_option(cfg, key)
    try:
        cfg.merge_from_dict(args.cfg_options)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f'--cfg-options do not fit: {errors.one_line(error)}') from error
    check_settings(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    _join(cfg)
    return cfg


def _join(cfg: Config) -> None:
    try:
        distributed.join(cfg)
    except ValueError as error:
        raise UserError(error) from error
    except RuntimeError as error:
        raise UserError(distributed.lost(error) or error) from error


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


def read_checkpoint(path: str) -> dict:
    """A checkpoint must be readable without running code from it, and hold weights."""
    try:
        content = checkpoint.read(path)
        checkpoint.weights_of(content, path)
        return content
    except (FileNotFoundError, ValueError) as error:
        raise UserError(error) from error


def make_predictor(cfg: Config, path: str, device: str | None) -> Predictor:
    """The predictor of a config and a checkpoint of its whole model."""
    check_device(device)
    read_checkpoint(path)
    with errors.explained():
        return Predictor(cfg, path, device)


def run(cfg: Config, action: Callable[[Runner], None]) -> None:
    """Build the runner and let `action` use it."""
    check_folder(cfg.work_dir, 'the work dir')
    try:
        _act(cfg, action)
    finally:
        gc.collect()  # what still holds the process group must go before it
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        logging.shutdown()


def _act(cfg: Config, action: Callable[[Runner], None]) -> None:
    runner = None
    try:
        runner = RUNNERS.build(cfg) if cfg.get('runner_type') else CheckedRunner.from_cfg(cfg)
        check_widths(runner.model)
        action(runner)
    except Exception as error:
        started = runner is not None and getattr(runner, 'started', True)
        text = distributed.lost(error)
        text = text or errors.explain(error, cfg.work_dir, building=not started)
        if text is None:
            raise
        last = started and find_latest_checkpoint(cfg.work_dir)
        rest = f'. {last} is the last checkpoint, to go on from by --resume' if last else ''
        raise UserError(text + rest) from error
    barrier()  # no process leaves while another one still needs it
