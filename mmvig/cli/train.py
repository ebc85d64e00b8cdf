"""Train a model: `python tools/train.py CONFIG`, or `python -m mmvig train CONFIG`."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmvig.checks import check
from mmvig.checks.checkpoint import read_checkpoint
from mmvig.checks.errors import UserError
from mmvig.engine.hooks.finite_loss import FiniteLossHook, NonFiniteError
from mmvig.engine.resume.select import (
    is_strategy_folder,
    keep_seed,
    make_resumable,
    newest_checkpoint,
)
from mmvig.registry import HOOKS

from .config import load_config
from .options import make_runner_parser
from .precision import add_amp, apply_amp
from .run import command, run


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    check(cfg, 'train', 'val')
    notes = [apply_amp(cfg, args.amp)]
    apply_auto_scale_lr(cfg, args.auto_scale_lr)
    apply_tensorboard(cfg, args.tensorboard)
    notes.append(apply_resume(cfg, args.resume))
    apply_hooks(cfg)

    def train(runner: Runner) -> None:
        for note in filter(None, notes):
            runner.logger.warning(note)
        runner.train()

    try:
        run(cfg, train)
    except NonFiniteError as error:
        raise UserError(error) from error


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_runner_parser('train', 'Train a model.')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a name, the newest undamaged one in the work dir',
    )
    add_amp(parser)
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size'
    )
    parser.add_argument(
        '--tensorboard', action='store_true', help='also log for TensorBoard, below the work dir'
    )
    return parser.parse_args(argv)


def apply_auto_scale_lr(cfg: Config, enable: bool) -> None:
    """Let mmengine scale the learning rate by the batch size of all processes."""
    if enable:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True


def apply_tensorboard(cfg: Config, enable: bool) -> None:
    """Log through mmengine's own backend, beside those that the config has."""
    if not enable:
        return
    if find_spec('tensorboard') is None:
        raise UserError(
            '--tensorboard needs the package of that name: pip install tensorboard, or mmvig with '
            "its extra: pip install -e '.[tensorboard]'"
        )
    local = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    visualizer = cfg.get('visualizer') or local
    backends = list(visualizer.get('vis_backends') or [])
    if not any('Tensorboard' in str(backend.get('type')) for backend in backends):
        backends.append(dict(type='TensorboardVisBackend'))
    cfg.visualizer = dict(visualizer, vis_backends=backends)


def apply_resume(cfg: Config, source: str | None) -> str:
    """Name the checkpoint to go on or start from, which must be readable.

    Args:
        source: a path; 'auto' for the newest undamaged one in the work dir, without which training
            starts as the config says; None to do as the config says.

    Returns:
        str: a warning if a damaged checkpoint was passed over, else ''.
    """
    warning = ''
    if source:
        cfg.resume = True
    if source and source != 'auto':
        cfg.load_from = source
    elif source or (cfg.get('resume') and cfg.get('load_from') is None):
        newest, warning = newest_checkpoint(cfg.work_dir)
        cfg.resume = newest is not None
        if newest:
            cfg.load_from = str(newest)
    if cfg.get('load_from') is not None and not is_strategy_folder(cfg, cfg.load_from):
        checkpoint = read_checkpoint(cfg.load_from)
        if cfg.get('resume'):
            keep_seed(cfg, checkpoint)
    return warning


def apply_hooks(cfg: Config) -> None:
    """Resume to the last bit, and stop when the loss is not finite unless the config refuses.

    It does so by a hook of its own for that in `custom_hooks`, or by `default_hooks.finite_loss`,
    which may be None.
    """
    watched = any(map(_watches_loss, cfg.get('custom_hooks') or []))
    make_resumable(cfg)
    default = cfg.get('default_hooks') or {}
    if 'finite_loss' in default:
        watched = True
        if default['finite_loss'] is None:  # mmengine would build it
            kept = {key: hook for key, hook in default.items() if key != 'finite_loss'}
            cfg.default_hooks = kept
    if not watched:
        cfg.custom_hooks = [
            *(cfg.get('custom_hooks') or []),
            dict(type='mmvig.FiniteLossHook'),
        ]


def _watches_loss(hook: Hook | dict | None) -> bool:
    """Whether it is a `FiniteLossHook` or derived from it, built or by any name of its class."""
    kind = hook.get('type') if hasattr(hook, 'get') else type(hook)
    if isinstance(kind, str):
        try:
            kind = HOOKS.get(kind)
        except RuntimeError:  # no hook of that name, which the runner tells
            return False
    return isinstance(kind, type) and issubclass(kind, FiniteLossHook)
