"""Checkpoints that a user names."""

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
