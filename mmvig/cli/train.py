"""Train a model: `python tools/train.py CONFIG`, or `python -m mmvig train CONFIG`."""

from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from .data_check import check_data
from .run import UserError, command, load_config, parser, read_checkpoint, run


@command
def main() -> None:
    options = parser('Train a model.')
    options.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a name, from the newest in the work dir',
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
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    start = cfg.get('load_from')
    if cfg.get('resume') and start is None and Path(cfg.work_dir, 'last_checkpoint').is_file():
        start = find_latest_checkpoint(cfg.work_dir)
    if start is not None:
        read_checkpoint(start)
    run(cfg, lambda runner: runner.train())


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
