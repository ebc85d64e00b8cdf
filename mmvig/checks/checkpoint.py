"""Checkpoints that a user names."""

from collections.abc import Mapping

from mmvig import checkpoint

from .errors import UserError


def read_checkpoint(path: str) -> dict:
    """A checkpoint's content, read without running code from it.

    Raises:
        UserError: it is missing, damaged, refused, or holds no weights.
    """
    try:
        content = checkpoint.read(path)
        checkpoint.weights_of(content, path)
        return content
    except (FileNotFoundError, ValueError) as error:
        raise UserError(error) from error


def check_resumable(content: Mapping, path: str, needed: tuple[str, ...] = ()) -> None:
    """A checkpoint holds the progress of a training, not weights alone.

    Args:
        content: of the checkpoint.
        path: its name in the message.
        needed: further entries without which the runner does not resume.

    Raises:
        UserError: it does not; says how to start from its weights.
    """
    meta = content.get('meta')
    progress = meta if isinstance(meta, Mapping) else {}
    missing = [f'meta.{key}' for key in ('epoch', 'iter') if not _is_step(progress.get(key))]
    missing += [key for key in ('message_hub', *needed) if key not in content]
    if missing:
        raise UserError(
            f'expected a checkpoint of a training to resume from, {path} has no '
            f'{", ".join(missing)}: its weights alone are read, for a new training, by '
            f'--cfg-options load_from={path} without --resume'
        )


def _is_step(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
