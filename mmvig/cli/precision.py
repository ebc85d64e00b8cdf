"""Options of commands that choose the precision of the model."""

import argparse
from logging import WARNING

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import nn

from mmvig.checks.errors import UserError
from mmvig.engine.mixed_precision import predict_in_bfloat16
from mmvig.ops.processor import multiplies_bfloat16

SLOW = (
    'this processor has no instructions for bfloat16 (AVX512-BF16 or AMX), so it takes two to '
    'fifty times as long as float32'
)
OF_SCALING = ('dtype', 'loss_scale', 'use_fsdp')  # options of AmpOptimWrapper


def add_amp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--amp',
        nargs='?',
        const='float16',
        choices=['float16', 'bfloat16'],
        help='train with automatic mixed precision: bfloat16, or float16 (GPUs; the default)',
    )


def add_dtype(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--dtype',
        choices=['float32', 'bfloat16'],
        default='float32',
        help='of the model: float32, or mixed precision with bfloat16',
    )


def apply_amp(cfg: Config, dtype: str | None) -> str:
    """Train in mixed precision of that type, if any, or as the config says.

    Returns:
        str: a note if a CPU does it otherwise than the config says, or slowly, else ''.

    Raises:
        UserError: there is no such precision on this machine.
    """
    wrapper, on_cpu, notes = cfg.optim_wrapper, get_device() == 'cpu', []
    if dtype == 'float16' and on_cpu:
        raise UserError('expected --amp bfloat16 on a CPU, got float16, which needs a GPU')
    if dtype == 'float16':
        wrapper.update(type='AmpOptimWrapper', dtype=dtype)
        wrapper.setdefault('loss_scale', 'dynamic')
        return ''
    of_config = str(wrapper.get('type')).rpartition('.')[2] == 'AmpOptimWrapper'
    if dtype is None and of_config and on_cpu:
        dtype = 'bfloat16'
        notes.append(
            "optim_wrapper.type='mmvig.BFloat16OptimWrapper' takes the place of 'AmpOptimWrapper', "
            'which needs a GPU'
        )
    if dtype is not None:
        wrapper.update(type='mmvig.BFloat16OptimWrapper')
        for name in OF_SCALING:
            wrapper.pop(name, None)
        if on_cpu and not multiplies_bfloat16():
            notes.append(SLOW)
    return '; '.join(notes)


def apply_dtype(model: nn.Module, dtype: str) -> None:
    """Let a model predict in that precision."""
    if dtype == 'bfloat16':
        predict_in_bfloat16(model)
        if next(model.parameters()).device.type == 'cpu' and not multiplies_bfloat16():
            print_log(SLOW, logger='current', level=WARNING)
