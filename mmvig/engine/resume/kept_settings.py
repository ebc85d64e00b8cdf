"""What a resumed training takes from its checkpoint although the config says otherwise.

mmengine loads the states of optimizer and schedules over what it built from the config, so that a
learning rate or a schedule that was changed in between has no effect.
"""

import inspect
from collections.abc import Iterator, Mapping

from mmengine.hooks import EMAHook
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmvig.checks.errors import UserError
from mmvig.messages import join_some

# Of a parameter group, besides what belongs to the parameters and to progress.
_NOT_SETTINGS = {'params', 'lr', 'initial_lr'}


def describe_resume(runner: Runner, checkpoint: Mapping) -> list[str]:
    """Sentences on the settings in which checkpoint and config differ, and which of them counts.

    Args:
        runner: whose optimizer and schedules are built from the config, and not yet loaded.
        checkpoint: to resume from, see `check_resumable`.

    Raises:
        UserError: the optimizer's state does not fit the one of the config.
    """
    kept = [*_of_optimizer(runner.optim_wrapper, checkpoint), *_of_schedules(runner, checkpoint)]
    sentences = []
    if kept:
        sentences.append(
            f'taken from the checkpoint and not from the config: {join_some(kept)}. To train with '
            'the settings of the config, start from its weights: load_from without --resume'
        )
    return [*sentences, *_of_loop(runner, checkpoint), *_absent(runner, checkpoint)]


def _of_optimizer(wrapper, checkpoint: Mapping) -> Iterator[str]:
    """Settings of parameter groups; the same ones of several groups are told once."""
    for name, optimizer, state in _pairs(wrapper, checkpoint.get('optimizer')):
        groups, saved = optimizer.param_groups, state.get('param_groups', [])
        sizes, saved_sizes = ([len(group['params']) for group in g] for g in (groups, saved))
        # FSDP saves groups of names, and optimizes shards.
        named = any(isinstance(param, str) for group in saved for param in group['params'])
        if sizes != saved_sizes and not named:
            raise UserError(
                f'expected an optimizer{name} of {_count(saved_sizes)} to resume, as in the '
                f'checkpoint, the config makes {_count(sizes)}: keep its type, paramwise_cfg and '
                'frozen parts, or start from the weights: load_from without --resume'
            )
        if saved and set(saved[0]) != set(groups[0]):
            raise UserError(
                f'expected an optimizer{name} with the settings {_settings(saved[0])} to resume, '
                f'as in the checkpoint, {type(optimizer).__name__} has {_settings(groups[0])}: '
                'keep its type, or start from the weights: load_from without --resume'
            )
        told = {}
        for group, old in zip(groups, saved, strict=False):
            for key in _compared(group):
                if not _same(group[key], old.get(key)):
                    told.setdefault(key.removeprefix('initial_'), (old.get(key), group[key]))
        for key, (was, now) in told.items():
            yield f'{key}{name} {_short(was)} (config: {_short(now)})'


def _pairs(wrapper, state) -> Iterator[tuple[str, object, Mapping]]:
    """Optimizers with their saved states; several have names."""
    if not isinstance(state, Mapping) or not isinstance(wrapper, BaseOptimWrapper):
        return
    if 'param_groups' in state:
        yield '', wrapper.optimizer, state
    elif hasattr(wrapper, 'items'):
        for name, inner in wrapper.items():
            if isinstance(state.get(name), Mapping):
                yield f' {name}', inner.optimizer, state[name]


def _compared(group: Mapping) -> Iterator[str]:
    """Settings of a group; of one that a schedule changes, the value at the start."""
    if 'initial_lr' in group or 'lr' in group:
        yield 'initial_lr' if 'initial_lr' in group else 'lr'
    for key in group:
        if key not in _NOT_SETTINGS and f'initial_{key}' not in group:
            yield key


def _of_schedules(runner: Runner, checkpoint: Mapping) -> Iterator[str]:
    schedules, states = runner.param_schedulers, checkpoint.get('param_schedulers')
    if isinstance(schedules, Mapping):
        groups = [(f'.{name}', schedules[name], (states or {}).get(name)) for name in schedules]
    else:
        groups = [('', schedules, states)]
    for name, built, saved in groups:
        if not isinstance(built, list) or not isinstance(saved, list):
            continue
        if len(built) != len(saved):
            yield (
                f'the progress of the first {min(len(built), len(saved))} schedules{name} '
                f'(checkpoint: {len(saved)}, config: {len(built)})'
            )
        for i, (schedule, state) in enumerate(zip(built, saved, strict=False)):
            now = schedule.state_dict()
            place = f'param_scheduler{name}.{i}'
            if set(now) != set(state):
                yield f'the progress of {place}, which was of another type'
                continue
            for key in _arguments(schedule):
                if key in now and not _same(now[key], state[key]):
                    yield f'{place}.{key} {_short(state[key])} (config: {_short(now[key])})'


def _arguments(schedule) -> list[str]:
    """Names of what a schedule's class and those above it take: its settings."""
    names = {}
    for kind in type(schedule).__mro__:
        if '__init__' in vars(kind):
            names |= dict.fromkeys(inspect.signature(kind.__init__).parameters)
    return [name for name in names if name not in ('self', 'optimizer', 'last_step', 'verbose')]


def _of_loop(runner: Runner, checkpoint: Mapping) -> Iterator[str]:
    """The length of the training, which is the config's, and what is left of it."""
    loop, meta = runner.train_loop, checkpoint['meta']
    runtime = checkpoint['message_hub'].get('runtime_info') or {}
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    key, unit = ('max_epochs', 'epoch') if by_epoch else ('max_iters', 'iter')
    now, was = getattr(loop, key, None), runtime.get(key)
    if was is not None and now != was:
        yield f'taken from the config: train_cfg.{key} {now} (checkpoint: {was})'
    if isinstance(now, int) and meta[unit] >= now:
        yield f'nothing is left to train: the checkpoint is of {unit} {meta[unit]} of {now}'
    if not by_epoch:
        return
    length = len(loop.dataloader)
    if not meta['epoch'] * length <= meta['iter'] <= (meta['epoch'] + 1) * length:
        yield (
            f'an epoch now has {length} iterations, and the checkpoint is of epoch {meta["epoch"]} '
            f'after {meta["iter"]} iterations: the data or the batch size have changed, and '
            'schedules by iteration go on from another place'
        )


def _absent(runner: Runner, checkpoint: Mapping) -> Iterator[str]:
    if 'optimizer' not in checkpoint:
        yield 'the checkpoint has no state of the optimizer, which starts anew'
    if runner.param_schedulers is not None and 'param_schedulers' not in checkpoint:
        yield 'the checkpoint has no state of the schedules, which start anew'
    averages = any(isinstance(hook, EMAHook) for hook in runner.hooks)
    if 'ema_state_dict' in checkpoint and not averages:
        yield (
            'the weights of the checkpoint are averages (EMAHook) and the config has no EMAHook: '
            'training goes on from the averages'
        )


def _same(a, b) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float | int):
        return abs(a - b) <= 1e-12 * max(abs(a), abs(b))
    return type(a) is type(b) and a == b if isinstance(a, bool) else a == b


def _short(value) -> str:
    if isinstance(value, float):
        return f'{value:.6g}'
    return repr(dict(value) if isinstance(value, Mapping) else value)


def _count(sizes: list[int]) -> str:
    return f'{len(sizes)} groups with {sum(sizes)} parameters'


def _settings(group: Mapping) -> str:
    return ', '.join(sorted(set(group) - _NOT_SETTINGS))
