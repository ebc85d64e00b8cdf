"""Running a command, and within it a runner of mmengine."""

import functools
import gc
import logging
import sys
from collections.abc import Callable, Sequence

import torch
from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.logging import MMLogger
from mmengine.runner import Runner, find_latest_checkpoint

from mmvig.checkpoint import safe_globals
from mmvig.checks import errors
from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError
from mmvig.engine.distributed import describe_disconnect
from mmvig.engine.runner import RunnerChecks, build_runner

Main = Callable[[Sequence[str] | None], None]


def command(main: Main) -> Main:
    """Report errors that the user can mend in one line on stderr, and exit with status 2.

    While the command runs, no loader runs code from a checkpoint, not even one that retries.
    """

    @functools.wraps(main)
    def run_command(argv: Sequence[str] | None = None) -> None:
        try:
            with safe_globals.only_weights():
                main(argv)
        except (UserError, OSError) as error:
            errors.report(error)
            sys.exit(2)

    return run_command


def run(cfg: Config, action: Callable[[Runner], None]) -> None:
    """Build the config's runner and let `action` use it."""
    check_folder(cfg.work_dir, 'the work dir')
    try:
        _act(cfg, action)
    finally:
        gc.collect()  # what still holds the process group must go before it
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        _close_log_files()


def _close_log_files() -> None:
    """Of runs only: what other libraries log to is the process's own."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if isinstance(handler, logging.FileHandler):
                handler.close()
                logger.removeHandler(handler)  # mmengine writes to its stream on other occasions


def _act(cfg: Config, action: Callable[[Runner], None]) -> None:
    runner = None
    try:
        runner = build_runner(cfg)
        action(runner)
    except Exception as error:
        started = runner is not None and getattr(runner, 'started', True)
        text = describe_disconnect(error)
        step = runner.describe_first_step(error) if isinstance(runner, RunnerChecks) else ''
        text = text or errors.explain(error, cfg.work_dir, not started, step)
        if text is None:
            raise
        last = started and find_latest_checkpoint(cfg.work_dir)
        rest = f'. {last} is the last checkpoint, to go on from by --resume' if last else ''
        raise UserError(text + rest) from error
    barrier()  # no process leaves while another one still needs it
