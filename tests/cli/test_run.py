"""What running a command means to the process: its environment, arguments and exit status."""

import logging
import os
import sys
from contextlib import nullcontext

import pytest
from mmengine.config import Config
from mmengine.runner import checkpoint as mmengine_checkpoint

import mmvig.__main__
from mmvig.checks import UserError
from mmvig.cli.run import command
from mmvig.engine.build import build_model

FORCE, FORBID = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def process_state() -> tuple:
    mmengine_list = getattr(mmengine_checkpoint, 'get_torch_safe_globals', 'none')
    return dict(os.environ), mmengine_list, list(sys.argv)


@pytest.mark.parametrize(
    ('error', 'ends_by'),
    [
        (None, None),
        (UserError('so'), SystemExit),
        (OSError('so'), SystemExit),
        (KeyError('so'), KeyError),
    ],
)
@pytest.mark.parametrize('environment', [{}, {FORCE: '0'}, {FORBID: '1'}])
def test_a_command_leaves_the_process_as_it_was(error, ends_by, environment, monkeypatch):
    for name in (FORCE, FORBID):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    inside = []

    @command
    def main(argv=None) -> None:
        inside.append(process_state())
        if error:
            raise error

    before = process_state()
    with pytest.raises(ends_by) if error else nullcontext() as end:
        main([])
    if ends_by is SystemExit:
        assert end.value.code == 2
    assert process_state() == before
    ((during, mmengine_list, _),) = inside
    assert during[FORCE] == '1'
    assert FORBID not in during
    assert mmengine_list is list


def test_the_state_is_restored_without_a_list_of_mmengine(monkeypatch):
    """Upstream mmengine has none."""
    monkeypatch.delattr(mmengine_checkpoint, 'get_torch_safe_globals', raising=False)
    command(lambda argv: None)()
    assert not hasattr(mmengine_checkpoint, 'get_torch_safe_globals')


class OwnFile(logging.Handler):
    """As absl's: closing it closes the stream that it writes to."""

    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_logs_of_other_libraries_stay_open(cli, input_folder):
    handler = OwnFile()
    logging.getLogger().addHandler(handler)
    try:
        cli.output('train', 'seg.py')
    finally:
        logging.getLogger().removeHandler(handler)
    assert not handler.closed
    handler.close()


def test_models_are_built_after_a_command(cli, input_folder):
    """mmengine tells the log of the last run how each weight was initialised."""
    cli.output('train', 'seg.py')
    build_model(Config.fromfile('seg.py')).init_weights()


def test_commands_inside_commands_restore_what_they_met():
    def main(argv=None) -> None:
        command(lambda argv: None)()
        assert os.environ[FORCE] == '1'
        assert mmengine_checkpoint.get_torch_safe_globals is list

    command(main)()


@pytest.mark.parametrize('name', mmvig.__main__.COMMANDS)
def test_every_command_takes_its_arguments(name, cli, monkeypatch):
    """Not those of the process, and under the name that a user gives."""
    monkeypatch.setattr(sys, 'argv', ['pytest', '--absent'])
    assert f'usage: mmvig {name} ' in cli.output(name, '--help')


def test_help_lists_the_commands(cli):
    for option in ('-h', '--help'):
        out = cli.output(option)
        assert all(f'\n  {name} ' in out for name in mmvig.__main__.COMMANDS)


def test_an_unknown_command_ends_with_the_known_ones(cli):
    for argv in ((), ('trian',)):
        result = cli.run(*argv)
        assert result.status == 2
        assert '\n  train ' in result.err
