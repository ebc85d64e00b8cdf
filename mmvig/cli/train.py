"""Train a model: `python tools/train.py CONFIG`, or `python -m mmvig train CONFIG`."""

from importlib.util import find_spec

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmvig.checks.data import check_data
from mmvig.engine.hooks.finite_loss import NotFiniteError
from mmvig.engine.resume.select import keep_seed, make_resumable, newest_checkpoint

from .run import UserError, command, load_config, parser, read_checkpoint, run


@command
def main() -> None:
    options = parser('Train a model.')
    options.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a name, from the newest whole one in the work dir',
    )
    options.add_argument(
        '--amp',
        nargs='?',
        const='float16',
        choices=['float16', 'bfloat16'],
        help='train with automatic mixed precision, float16 unless said otherwise',
    )
    options.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size'
    )
    options.add_argument(
        '--tensorboard', action='store_true', help='also log for TensorBoard, below the work dir'
    )
    args = options.parse_args()
    cfg = load_config(args)
    if args.tensorboard:
        _log_for_tensorboard(cfg)
    check_data(cfg, 'train', 'val')
    if args.amp:
        if not torch.cuda.is_available():
            raise UserError('--amp needs a GPU: mmengine has no mixed precision on CPUs')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=args.amp)
        if args.amp == 'float16':  # bfloat16 has the range of float32
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    passed_over = ''
    if args.resume:
        cfg.resume = True
    if args.resume and args.resume != 'auto':
        cfg.load_from = args.resume
    elif args.resume or (cfg.get('resume') and cfg.get('load_from') is None):
        newest, passed_over = newest_checkpoint(cfg.work_dir)
        cfg.resume = newest is not None  # if not, training starts as without the option
        if newest:
            cfg.load_from = str(newest)
    if cfg.get('load_from') is not None:
        checkpoint = read_checkpoint(cfg.load_from)
        if cfg.get('resume'):
            keep_seed(cfg, checkpoint)
    make_resumable(cfg)

    def train(runner: Runner) -> None:
        if passed_over:
            runner.logger.warning(passed_over)
        runner.train()

    _watch_the_loss(cfg)
    try:
        run(cfg, train)
    except NotFiniteError as error:
        raise UserError(error) from error


def _watch_the_loss(cfg: Config) -> None:
    hooks = cfg.get('custom_hooks') or []
    if not any(hook.get('type') == 'mmvig.FiniteLossHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='mmvig.FiniteLossHook')]


def _log_for_tensorboard(cfg: Config) -> None:
    """Log through mmengine's own backend, beside those that the config has."""
    if find_spec('tensorboard') is None:
        raise UserError(
            '--tensorboard needs the package of that name: pip install tensorboard, or mmvig with '
            "its extra: pip install -e '.[tensorboard]'"
        )
    local = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    visualizer = cfg.get('visualizer') or local
    backends = [*(visualizer.get('vis_backends') or []), dict(type='TensorboardVisBackend')]
    cfg.visualizer = dict(visualizer, vis_backends=backends)
