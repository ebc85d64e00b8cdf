"""Several processes that train one model: joining on CPUs, and a word when they lose each other."""

import datetime
import os

import torch
from mmengine.config import Config
from torch import distributed

# Seconds to wait for another process; torch's own value for GPUs, while gloo would wait half an
# hour. A process that ended is noticed at once, this is for one that stands still.
TIMEOUT = 600
FSDP = ('FSDPStrategy', 'mmvig.FSDPStrategy')
# What torchrun tells each process.
VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def join(cfg: Config) -> None:
    """See that processes can find each other, if any are, and join them by gloo without GPUs.

    On GPUs the runner joins them; mmengine's way asks for a GPU per process.

    Raises:
        ValueError: nothing said which process this is, or a setting cannot work.
        RuntimeError: the others did not come within the time-out.
    """
    strategy = (cfg.get('strategy') or {}).get('type')
    fsdp = strategy in FSDP
    if cfg.launcher == 'none':
        if fsdp:
            raise ValueError('FSDP: expected processes started with tools/dist_train.sh, got one')
        return
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = dist_cfg.get('timeout', TIMEOUT)
    if not isinstance(timeout, int | float) or timeout <= 0:
        raise ValueError(f'expected env_cfg.dist_cfg.timeout to be seconds, got {timeout!r}')
    clip = (cfg.get('optim_wrapper') or {}).get('clip_grad')
    if strategy == 'FSDPStrategy' and clip:
        raise ValueError(
            "strategy: expected type='mmvig.FSDPStrategy' where optim_wrapper.clip_grad is set, "
            f'got {strategy!r}, which would clip every process by the norm of its own share'
        )
    on_gpus = torch.cuda.is_available()
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing and (cfg.launcher == 'pytorch' or not on_gpus):
        raise ValueError(
            f'--launcher {cfg.launcher}: expected the variables {", ".join(VARIABLES)} to be set, '
            f'{", ".join(missing)} not; start the processes with tools/dist_train.sh, or leave '
            'the option out'
        )
    if on_gpus:
        return
    if not distributed.is_initialized():
        distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
    _wrap_for_cpu(cfg)
    cfg.pop('sync_bn', None)
    _without_sync(cfg.model)


def _wrap_for_cpu(cfg: Config) -> None:
    """Tell the model's wrapper that its device is no GPU."""
    ddp = dict(type='MMDistributedDataParallel', device_ids=None)
    if cfg.get('runner_type') != 'FlexibleRunner':
        ddp['find_unused_parameters'] = cfg.get('find_unused_parameters', False)
        cfg.model_wrapper_cfg = ddp | (cfg.get('model_wrapper_cfg') or {})
        return
    strategy = cfg.setdefault('strategy', dict(type='DDPStrategy'))
    own = strategy.get('model_wrapper') or {}
    if strategy.type not in FSDP:
        strategy.model_wrapper = ddp | own
        return
    strategy.model_wrapper = dict(type='MMFullyShardedDataParallel', device_id='cpu') | own
    if strategy.get('state_dict_cfg') == 'full':
        # As mmengine's 'full', but without moving to the CPU what is there: torch would free it.
        stay = dict(rank0_only=True, offload_to_cpu=False)
        strategy.state_dict_cfg = dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(type='FullStateDictConfig', **stay),
            optim_state_dict_config=dict(type='FullOptimStateDictConfig', **stay),
        )


def _without_sync(node) -> None:
    """Batch norms that join processes exist on GPUs only; on CPUs each process takes its own."""
    if isinstance(node, dict):
        if node.get('type') in ('SyncBN', 'MMSyncBN', 'SyncBatchNorm'):
            node['type'] = 'BN'
        for value in node.values():
            _without_sync(value)
    elif isinstance(node, list | tuple):
        for value in node:
            _without_sync(value)


def lost(error: Exception) -> str | None:
    """What to tell the user if the error is that the processes cannot reach each other."""
    if not isinstance(error, distributed.DistError) and 'gloo' not in str(error):
        return None
    rank, world = (os.environ.get(name, '?') for name in ('RANK', 'WORLD_SIZE'))
    return (
        f'process {rank} of {world} lost the others: {str(error).splitlines()[0]}. If one of them '
        'ended, its own output says why. Start all of them again; `train --resume` goes on from '
        'the newest checkpoint. How long they wait: env_cfg.dist_cfg.timeout, in seconds'
    )
