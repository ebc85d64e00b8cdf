"""How `train` makes a config resumable, and which checkpoint it resumes from."""

import zipfile
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import find_latest_checkpoint

from mmvig.checks.errors import UserError

from ..runner import is_flexible


def make_resumable(cfg: Config) -> None:
    """Replace mmengine's checkpoint hook, where the config has it, by that of mmvig."""
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))  # mmengine's default
    if hook and hook.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook):
        ours = dict(hook, type='mmvig.ResumableCheckpointHook')
        cfg.default_hooks = dict(hooks, checkpoint=ours)
        custom = cfg.get('custom_hooks') or []
        cfg.custom_hooks = [*custom, dict(type='mmvig.ValidateOnResumeHook')]


def newest_checkpoint(work_dir: str) -> tuple[Path | None, str]:
    """The newest whole checkpoint of a work dir, and a warning if others were passed over.

    It is the one that `last_checkpoint` names or, if that one is damaged or missing, the one that
    was written last; None in a work dir that has none, where training starts anew.

    Raises:
        UserError: there is a `last_checkpoint`, but no whole checkpoint.
    """
    named = None
    if Path(work_dir, 'last_checkpoint').is_file():
        named = Path(find_latest_checkpoint(work_dir) or 'nothing')
        if named.is_dir() or _is_whole(named):  # DeepSpeed saves folders
            return named, ''
    folders = {Path(work_dir), *([named.parent] if named else [])}
    paths = {path for folder in folders for path in folder.glob('*.pth')} - {named}
    others = [path for path in paths if not path.name.startswith('best_')]
    by_age = sorted((age, path) for path in others if (age := _written(path)))
    for _, path in reversed(by_age):
        if _is_whole(path):
            why = 'there is no last_checkpoint'
            if named:
                why = f'{named}, which last_checkpoint names, is not whole'
            return path, f'{why}: resuming from {path}, the newest whole checkpoint'
    if named is None:
        names = {True: [], False: []}
        for path in sorted(others):
            names[_is_whole(path)].append(path.name)
        reasons = [f'no checkpoint is whole ({", ".join(names[False])})'] if names[False] else []
        if names[True]:
            reasons.append(
                f'weights alone are no training to go on with ({", ".join(names[True])})'
            )
        return None, f'{" and ".join(reasons)}: starting anew' if reasons else ''
    raise UserError(
        f'{named}, which {work_dir}/last_checkpoint names, is damaged or missing, and no other '
        f'checkpoint in {work_dir} is whole: expected one to resume from. To start anew, delete '
        'last_checkpoint'
    )


def is_strategy_folder(cfg: Config, path: str) -> bool:
    """Whether a checkpoint is a folder, which a strategy such as DeepSpeed's writes and reads."""
    return is_flexible(cfg) and Path(path).is_dir()


def _is_whole(path: Path) -> bool:
    """Whether it is an archive in which every part has the checksum written with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _written(path: Path) -> tuple[str, int] | None:
    """When a checkpoint was written, and its iteration; None if the file is none to resume from."""
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return content['meta']['time'], content['meta']['iter']
    except (OSError, EOFError, RuntimeError, UnpicklingError, KeyError, TypeError):
        return None


def keep_seed(cfg: Config, checkpoint: dict) -> None:
    """Take over the seed drawn at the first start, without which data come in another order."""
    randomness = cfg.get('randomness') or {}
    if randomness.get('seed') is None:
        meta = checkpoint.get('meta')
        cfg.randomness = dict(randomness, seed=meta.get('seed') if isinstance(meta, dict) else None)
