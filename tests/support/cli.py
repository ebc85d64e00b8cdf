"""Running `python -m mmvig …` in the process of the tests."""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from yapf.yapflib import yapf_api

import mmvig.__main__


class Result(NamedTuple):
    """What a command left: its exit status, and what it and its processes wrote."""

    status: int
    out: str
    err: str


class Cli:
    """Runs commands by their arguments, which may be of any type that has a `str`."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        monkeypatch.setattr(yapf_api, 'FormatCode', unformatted)

    def run(self, *argv) -> Result:
        forget_runs()
        self._capfd.readouterr()
        status = 0
        try:
            mmvig.__main__.main([str(word) for word in argv])
        except SystemExit as end:
            status = end.code
        return Result(status, *self._capfd.readouterr())

    def output(self, *argv) -> str:
        """What a command that must succeed wrote to stdout."""
        result = self.run(*argv)
        assert result.status == 0, result.err[-3000:]
        return result.out

    def user_error(self, *argv) -> str:
        """The message of a command that must end with one line for the user."""
        result = self.run(*argv)
        assert result.status == 2, f'status {result.status}: {result.err[-3000:]}'
        assert 'Traceback' not in result.err
        (line,) = (line for line in result.err.splitlines() if line.startswith('error: '))
        assert result.err.splitlines()[-1] == line
        return line.removeprefix('error: ')


def run_in(folder: Path, *argv) -> None:
    """Run a command that must succeed, in a folder; for fixtures of many tests."""
    forget_runs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', unformatted)
        patch.chdir(folder)
        mmvig.__main__.main([str(word) for word in argv])


def unformatted(text: str, **settings) -> tuple[str, bool]:
    """In place of yapf, by which runners format their config three times, longer than they train.

    Raises:
        SyntaxError: it is no Python, as by yapf.
    """
    ast.parse(text)
    return text, False


def forget_runs() -> None:
    """Forget visualizers, loggers and message hubs of earlier runs in this process.

    mmengine gives hooks the first visualizer, messages to a logger whose files are closed, and a
    run that starts within a second of another, by a config of the same name, all that one's values.
    """
    kinds = [Visualizer, MMLogger, MessageHub]
    while kinds:
        kind = kinds.pop()
        kind._instance_dict.clear()
        kinds += kind.__subclasses__()
