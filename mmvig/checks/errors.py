"""Errors that the user can mend, each in one line, and how errors of the libraries become that."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from .pipeline import SampleError

TRACEBACK = 'MMVIG_TRACEBACK'


class UserError(Exception):
    """Something the user can mend; the message says what and how, without a traceback."""


def report(error: Exception) -> None:
    """One line on stderr; before it the whole traceback if `MMVIG_TRACEBACK` is set."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    sys.stderr.write(f'error: {one_line(error)}\n')


def one_line(error: BaseException) -> str:
    """An error's message in one line."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return ' '.join(str(text).split()) or type(error).__name__


@contextmanager
def as_user_error() -> Iterator[None]:
    """Turn any error inside into a `UserError`: for code that fails only by its config or files."""
    try:
        yield
    except Exception as error:
        raise UserError(explain(error)) from error


def explain(
    error: Exception, place: str = '', building: bool = True, first_step: str = ''
) -> str | None:
    """The message for an error that a user's files or config cause; None for any other error.

    Args:
        error: from within an MM library.
        place: where files are written, for errors that name none.
        building: whether the parts of the config were being built.
        first_step: where the first step was, if it was running.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SampleError):
        # A worker's error has its traceback in the message; the last line is the error's own.
        return one_line(error).rpartition(f'{SampleError.__name__}: ')[2]
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or place
        return f'{where}: {error.strerror}' if where else error.strerror
    if _ONE_VALUE in str(error):
        return (
            f'{one_line(error)}: a batch norm got one value per channel, from one image of one '
            'pixel there. More images in a batch, train_dataloader.drop_last=True for the last '
            'one, or a norm without batches, such as GN'
        )
    if first_step:
        return (
            f'the first step fails, at {first_step}: {type(error).__name__}: {one_line(error)} '
            f'({TRACEBACK}=1 shows the whole traceback)'
        )
    return _of_building(error) if building else None


# How torch's batch norms refuse; `check_batch_norms` does not know all of them before.
_ONE_VALUE = 'Expected more than 1 value per channel'


def _of_building(error: BaseException) -> str:
    """Why the parts of a config did not build, with the types being built, outermost first."""
    names = [str(name).rpartition('.')[2] for name in _built(error)]
    own = isinstance(error, ValueError | KeyError | AssertionError | FileNotFoundError)
    text = one_line(error) if own else f'{type(error).__name__}: {one_line(error)}'
    if names:
        return f'the config does not build, in {" > ".join(names)}: {text}'
    return text if own else f'the config cannot be run: {text}'


def _built(error: BaseException) -> Iterator[str]:
    """Types that mmengine was building when the error was raised, outermost first."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg':
            kind = frame.f_locals.get('obj_type')
            if kind is not None:
                yield kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
