"""Several processes that train one model: how they meet on CPUs, and how errors of theirs read."""

import datetime
import os

import torch
from mmengine.config import Config
from torch import distributed

from mmvig.checks.errors import UserError

from .runner import is_flexible

# Seconds to wait for another process; torch's own value for GPUs, while gloo would wait half an
# hour. A process that has ended is noticed at once, so this is for one that hangs.
TIMEOUT = 600
FSDP = ('FSDPStrategy', 'mmvig.FSDPStrategy')
# Settings that mmengine's plain runner reads, and what the flexible one has instead.
ONLY_PLAIN = {
    'sync_bn': 'strategy.sync_bn',
    'model_wrapper_cfg': 'strategy.model_wrapper',
    'find_unused_parameters': 'strategy.model_wrapper.find_unused_parameters',
    'activation_checkpointing': 'strategy.activation_checkpointing of FSDP and DeepSpeed',
    'efficient_conv_bn_eval': 'nothing like it',
    'compile': 'nothing like it in a config',
}
# What torchrun tells each process.
LAUNCHER_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def init_cpu_process_group(cfg: Config) -> None:
    """Check that the processes of a launcher can meet, and without GPUs let them meet by gloo.

    On GPUs the runner does that; mmengine's way asks for a GPU per process.

    Raises:
        UserError: a setting cannot work, nothing said which process this is, or the others did not
            come within the time-out.
    """
    check_strategy(cfg)
    if cfg.launcher == 'none':
        return
    timeout = check_timeout(cfg)
    check_launcher_env(cfg.launcher)
    if not torch.cuda.is_available():
        init_gloo(timeout)
        patch_cfg_for_cpu(cfg)


def check_strategy(cfg: Config) -> None:
    """A strategy has its runner; FSDP runs in several processes, and clips by their joint norm."""
    strategy = (cfg.get('strategy') or {}).get('type')
    if strategy and not is_flexible(cfg):
        raise UserError(
            f"strategy: expected runner_type='FlexibleRunner' for {strategy}, as another runner "
            f'does not read it, got {cfg.get("runner_type") or "Runner"}'
        )
    for name, instead in ONLY_PLAIN.items() if is_flexible(cfg) else ():
        taken_out = name == 'sync_bn' and not torch.cuda.is_available()
        if cfg.get(name) and not taken_out:
            raise UserError(
                f'{name}: FlexibleRunner does not read it, and has {instead}; leave it out, or set '
                f'{name}=None'
            )
    if strategy in FSDP and cfg.launcher == 'none':
        raise UserError('FSDP: expected processes started with tools/dist_train.sh, got one')
    if strategy == 'FSDPStrategy' and (cfg.get('optim_wrapper') or {}).get('clip_grad'):
        raise UserError(
            "strategy: expected type='mmvig.FSDPStrategy' where optim_wrapper.clip_grad is set, "
            f'got {strategy!r}, which would clip every process by the norm of its own share'
        )


def check_timeout(cfg: Config) -> float:
    """Seconds that processes wait for one another."""
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = dist_cfg.get('timeout', TIMEOUT)
    if not isinstance(timeout, int | float) or timeout <= 0:
        raise UserError(f'expected env_cfg.dist_cfg.timeout to be seconds, got {timeout!r}')
    return timeout


def check_launcher_env(launcher: str) -> None:
    """The launcher told this process its number and where the others are.

    Slurm and MPI tell it in variables of their own, which mmengine reads, but on GPUs only.
    """
    missing = [name for name in LAUNCHER_VARIABLES if name not in os.environ]
    if missing and (launcher == 'pytorch' or not torch.cuda.is_available()):
        raise UserError(
            f'--launcher {launcher}: expected the variables {", ".join(LAUNCHER_VARIABLES)} to be '
            f'set, {", ".join(missing)} not; start the processes with tools/dist_train.sh, or '
            'leave the option out'
        )


def init_gloo(timeout: float) -> None:
    """Wait for the other processes, for at most `timeout` seconds."""
    if distributed.is_initialized():
        return
    try:
        distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
    except RuntimeError as error:
        raise UserError(describe_disconnect(error) or error) from error


def patch_cfg_for_cpu(cfg: Config) -> None:
    """Take out what only works on GPUs: devices by number, and batch norms that join processes."""
    _wrap_for_cpu(cfg)
    cfg.pop('sync_bn', None)
    without_sync_bn(cfg.get('model'))


def _wrap_for_cpu(cfg: Config) -> None:
    """Tell the model's wrapper that its device is no GPU."""
    ddp = dict(type='MMDistributedDataParallel', device_ids=None)
    if not is_flexible(cfg):
        ddp['find_unused_parameters'] = cfg.get('find_unused_parameters', False)
        cfg.model_wrapper_cfg = ddp | (cfg.get('model_wrapper_cfg') or {})
        return
    strategy = cfg.setdefault('strategy', dict(type='DDPStrategy'))
    wrapper = strategy.get('model_wrapper') or {}
    if strategy.type not in FSDP:
        strategy.model_wrapper = ddp | wrapper
        return
    strategy.model_wrapper = dict(type='MMFullyShardedDataParallel', device_id='cpu') | wrapper
    if strategy.get('state_dict_cfg') == 'full':
        # As mmengine's 'full', without its move to the CPU: torch would free tensors already there.
        stay = dict(rank0_only=True, offload_to_cpu=False)
        strategy.state_dict_cfg = dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(type='FullStateDictConfig', **stay),
            optim_state_dict_config=dict(type='FullOptimStateDictConfig', **stay),
        )


def without_sync_bn(node) -> None:
    """Replace, in a config or a part of it, batch norms that join processes by ordinary ones."""
    if isinstance(node, dict):
        if node.get('type') in ('SyncBN', 'MMSyncBN', 'SyncBatchNorm'):
            node['type'] = 'BN'
        for value in node.values():
            without_sync_bn(value)
    elif isinstance(node, list | tuple):
        for value in node:
            without_sync_bn(value)


def describe_disconnect(error: Exception) -> str | None:
    """The message for an error of processes that cannot reach each other; None for any other."""
    if not isinstance(error, distributed.DistError) and 'gloo' not in str(error):
        return None
    rank, world = (os.environ.get(name, '?') for name in ('RANK', 'WORLD_SIZE'))
    return (
        f'process {rank} of {world} lost the others: {str(error).splitlines()[0]}. If one of them '
        'ended, its own output says why. Start all of them again; `train --resume` goes on from '
        'the newest checkpoint. How long they wait: env_cfg.dist_cfg.timeout, in seconds'
    )
