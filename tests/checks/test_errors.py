"""Wrong inputs end with one clear line, lose nothing and run nothing; docs/errors.md tells them."""

import re
import shutil
import sys
from pathlib import Path

import pytest

import mmvig.__main__
from tests.support.commands import forget_runs
from tests.support.error_cases import GROUPS
from tests.support.invalid_inputs import MARKER, Case, make_inputs
from tools.make_error_page import PAGE, page

CASES = [
    pytest.param(case, id=f'{group}: {case.wrong}')
    for group, cases in GROUPS.items()
    for case in cases
]


@pytest.fixture(scope='module')
def inputs(tmp_path_factory) -> Path:
    """Right inputs, to be copied."""
    folder = tmp_path_factory.mktemp('inputs')
    make_inputs(folder)
    return folder


@pytest.fixture
def here(inputs, tmp_path, monkeypatch) -> Path:
    """A folder of one's own with right inputs, in which commands are given."""
    folder = tmp_path / 'here'
    shutil.copytree(inputs, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refused(monkeypatch, capfd):
    """Run `python -m mmvig …`, which must end with status 2; returns its line of error."""

    def run(command: str) -> str:
        monkeypatch.setattr(sys, 'argv', ['mmvig', *command.split()])
        forget_runs()
        with pytest.raises(SystemExit) as ended:
            mmvig.__main__.main()
        assert ended.value.code == 2
        text = capfd.readouterr().err
        assert 'Traceback' not in text
        (line,) = (line for line in text.splitlines() if line.startswith('error: '))
        assert text.splitlines()[-1] == line
        return line.removeprefix('error: ')

    return run


@pytest.mark.parametrize('case', CASES)
def test_wrong_input(case: Case, here, refused):
    case.make(here)
    before = {path: path.read_bytes() for path in here.rglob('*') if path.is_file()}
    line = refused(case.command)
    pattern = '.*'.join(map(re.escape, case.sees.split('…')))
    assert re.fullmatch(pattern, line), line
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not (here / MARKER).exists()


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), 'run python -m tools.make_error_page'
    assert sum(map(len, GROUPS.values())) >= 60
