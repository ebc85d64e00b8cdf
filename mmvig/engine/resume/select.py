"""What `train` does so that a training can be stopped at any moment and resumed."""

import zipfile
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import find_latest_checkpoint

from mmvig.checks.errors import UserError


def make_resumable(cfg: Config) -> None:
    """Let mmengine's checkpoint hook, where the config has it, be the one of mmvig."""
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))  # as mmengine
    if hook and hook.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook):
        ours = dict(hook, type='mmvig.ResumableCheckpointHook')
        cfg.default_hooks = dict(hooks, checkpoint=ours)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmvig.DueValidationHook')]


def newest_checkpoint(work_dir: str) -> tuple[Path | None, str]:
    """The newest whole checkpoint of a work dir, and a line of what was passed over, if anything.

    It is the one that `last_checkpoint` names, or, if that one is not whole or not there, the one
    that was written last. A work dir without any has none to resume from, and training starts.

    Raises:
        UserError: `last_checkpoint` is there, but no whole checkpoint.
    """
    named = None
    if Path(work_dir, 'last_checkpoint').is_file():
        named = Path(find_latest_checkpoint(work_dir) or 'nothing')
        if named.is_dir() or _is_whole(named):  # DeepSpeed saves folders
            return named, ''
    folders = {Path(work_dir), *([named.parent] if named else [])}
    found = {path for folder in folders for path in folder.glob('*.pth')} - {named}
    others = [path for path in found if not path.name.startswith('best_')]
    newest_first = sorted((age, path) for path in others if (age := _written(path)))
    for _, path in reversed(newest_first):
        if _is_whole(path):
            why = (
                f'{named}, which last_checkpoint names, is not whole'
                if named
                else ('there is no last_checkpoint')
            )
            return path, f'{why}: resuming from {path}, the newest whole checkpoint'
    if named is None:
        damaged = ', '.join(sorted(path.name for path in others))
        return None, f'no checkpoint is whole ({damaged}): starting anew' if damaged else ''
    raise UserError(
        f'{named}, which {work_dir}/last_checkpoint names, is damaged or not there, and no other '
        f'checkpoint in {work_dir} is whole: expected one to resume from. To start anew, delete '
        'last_checkpoint'
    )


def _is_whole(path: Path) -> bool:
    """Whether it is an archive whose parts all have the sums that were written with them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _written(path: Path) -> tuple[str, int] | None:
    """When a checkpoint to resume from was written, and its iteration; None if it is not one."""
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return content['meta']['time'], content['meta']['iter']
    except (OSError, EOFError, RuntimeError, UnpicklingError, KeyError, TypeError):
        return None


def keep_seed(cfg: Config, checkpoint: dict) -> None:
    """The seed that was drawn at the first start: without it the data come in another order."""
    randomness = cfg.get('randomness') or {}
    if randomness.get('seed') is None:
        cfg.randomness = dict(randomness, seed=checkpoint.get('meta', {}).get('seed'))
