"""Invalid input ends with one clear line, changes no file and runs no code; docs/errors.md."""

import re
from pathlib import Path

import pytest

from tests.support.error_cases import GROUPS
from tests.support.hostile_checkpoints import MARKER
from tests.support.invalid_inputs import Case
from tools.make_error_page import PAGE, page

CASES = [
    pytest.param(case, id=f'{group}: {case.wrong}')
    for group, cases in GROUPS.items()
    for case in cases
]


def state(path: Path) -> bytes | tuple[int, int, int]:
    """What writing to a file changes: of linked inputs, of which some are large, the time too."""
    stat = path.stat()
    linked = stat.st_nlink > 1
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if linked else path.read_bytes()


@pytest.mark.parametrize('case', CASES)
def test_invalid_input(case: Case, input_folder, cli):
    case.make(input_folder)
    before = {path: state(path) for path in input_folder.rglob('*') if path.is_file()}
    message = cli.user_error(*case.command.split())
    pattern = '.*'.join(map(re.escape, case.sees.split('…')))
    assert re.fullmatch(pattern, message), message
    assert {path: state(path) for path in before} == before
    assert not (input_folder / MARKER).exists()


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), 'run python -m tools.make_error_page'
    assert sum(map(len, GROUPS.values())) >= 60
