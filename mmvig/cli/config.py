"""Configs by path or name, with the options of the command line."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config

from mmvig.checks import errors
from mmvig.checks.errors import UserError
from mmvig.checks.options import check_option
from mmvig.checks.pure_python import by_names
from mmvig.checks.unread import check_variable
from mmvig.configs import find_library_bases, get_config
from mmvig.engine.distributed import init_cpu_process_group


def read_config(name: str) -> Config:
    """The config at a path, or the one of mmvig with that name, with names as its types.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(name)
    if not path.is_file():
        if path.suffix == '.py' or path.is_dir():
            raise UserError(f'expected a config file at {name}, there is none')
        try:
            path = get_config(name)
        except (ValueError, FileNotFoundError) as error:
            raise UserError(error) from error
    find_library_bases()
    try:
        return by_names(Config.fromfile(path))
    except Exception as error:  # a config is a program, which can fail in every way
        raise UserError(
            f'expected a config in {path}, it cannot be read: {type(error).__name__}: '
            f'{errors.one_line(error)}'
        ) from error


def load_config(args: argparse.Namespace) -> Config:
    """The config of a command that runs it, with the options of `make_runner_parser` merged in.

    With a launcher the processes have met when it returns.

    Raises:
        UserError: the config cannot be read, an option does not fit, or the processes do not meet.
    """
    cfg = read_config(args.config)
    for key in args.cfg_options:
        check_option(cfg, key)
        check_variable(cfg, key)
    try:
        cfg.merge_from_dict(args.cfg_options)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f'--cfg-options do not fit: {errors.one_line(error)}') from error
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if cfg.launcher != 'none':
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # mmengine reads it there
    init_cpu_process_group(cfg)
    return cfg
