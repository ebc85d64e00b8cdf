"""Every command of the documentation, a line of a ```bash block, works.

The rule for each:

1. `python -m mmvig COMMAND` and the tools that are the same commands **run** in a workspace with
   the mini set, if every config they name is for the mini set (its name ends in `_mini`) or for
   data of one's own (`mine_…`, written from the page's code block), or if they name none. Trainings
   and evaluations are shortened to a few small images. Checkpoints, exported models, photos and
   logs that a command names are made for it. An export reads, checks and prepares its model; the
   file that it writes is made by hand (`tests/deploy/test_exported_files.py` has real ones).
2. All others with a parser are **parsed** by it: commands that need COCO and the like or GPUs
   (`tools/*.sh`: as the training or test that they start), that take hours (other tools,
   `python -m benchmarks.NAME`), or that do not end (`serve`, `tensorboard`).
3. Of the rest (make, pip, pytest) the target, the extra or the files must exist.

Words in capitals are placeholders, for which no file need exist.
"""

import argparse
import importlib
import os
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import mmvig.__main__
from mmvig.cli.config import read_config
from mmvig.configs import list_configs
from mmvig.engine.runner import build_runner
from tests.support.cli import forget_runs
from tests.support.doc_pages import PAGES, ROOT, blocks
from tests.support.docs_workspace import (
    export_by_hand,
    shorten,
    write_checkpoint,
    write_exported,
    write_log,
    write_official_checkpoint,
)

pytestmark = pytest.mark.slow

SAME_AS = {'train': 'train', 'test': 'test', 'get_flops': 'flops', 'convert_checkpoint': 'convert'}
ENDLESS = ('serve',)


def commands_of(page: Path) -> list[list[str]]:
    """The words of each command of a page, without the variables that stand before them."""
    commands = []
    for block in blocks(page, 'bash'):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
                words = words[1:]
            if words:
                commands.append(words)
    return commands


def all_commands() -> list:
    """A command that stands on several pages is tried once."""
    first_pages = {}
    for page in PAGES:
        for words in commands_of(page):
            first_pages.setdefault(tuple(words), page)
    return [
        pytest.param(page, list(words), id=f'{page.stem}: {shlex.join(words)}')
        for words, page in first_pages.items()
    ]


class Parsed(Exception):  # noqa: N818
    """Raised instead of carrying a command out; holds the arguments."""


def parse(main: Callable, words: Sequence[str], monkeypatch) -> argparse.Namespace:
    """The arguments that the parser inside `main` makes of the words; nothing after it runs."""
    original = argparse.ArgumentParser.parse_known_args

    def stop(self, *args, **kwargs):
        raise Parsed(original(self, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_known_args', stop)
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_known_intermixed_args', stop)
    with pytest.raises(Parsed) as caught:
        main(list(words))
    (arguments, unknown) = caught.value.args[0]
    assert not unknown, f'unknown arguments {unknown}'
    return arguments


def configs_of(words: list[str]) -> list[str]:
    """The configs that a command names."""
    known = {Path(name).name for name in list_configs()}
    return [
        word
        for word in words
        if word.startswith('configs/') or (Path(word).stem in known and '/' not in word)
    ]


def provide(words: list[str], config: str | None) -> None:
    """Make the checkpoints and logs that a command names and an earlier one would have written."""
    for path in map(Path, words):
        if path.parts[0] == 'work_dirs' and not path.suffix and not list(path.glob('*/vis_data')):
            write_log(path)
        if path.suffix == '.pth' and not path.exists():
            if config is None:
                write_official_checkpoint(path)
            else:
                write_checkpoint(path, shorten(read_config(config)))
    if '--model' in words:
        write_exported(Path(words[words.index('--model') + 1]))


def check_names(words: list[str], workspace: Path) -> None:
    """Files of the project that a command names exist."""
    for word in words:
        if word.startswith(('configs/', 'tools/', 'benchmarks/', 'tests/', 'docs/')):
            assert (workspace / word).exists() or (ROOT / word).exists(), word
    for name in configs_of(words):
        read_config(name)


@pytest.mark.parametrize(('page', 'words'), all_commands())
def test_command(page, words, docs_workspace, monkeypatch, capsys):
    monkeypatch.chdir(docs_workspace)
    check_names(words, docs_workspace)
    if words[0] == 'make':
        assert re.search(rf'^{words[1]}:', (ROOT / 'Makefile').read_text(), re.M)
    elif words[:2] == ['pip', 'install']:
        check_pip(words[2:])
    elif words[0] == 'tensorboard':
        check_tensorboard(words, page)
    elif words[0].endswith('.sh'):
        check_launcher(words, monkeypatch)
    elif words[1:3] == ['-m', 'pytest']:
        assert all(Path(ROOT, word).exists() for word in words[3:])
    else:
        assert words[0] == 'python', 'this test knows no other commands'
        run_or_parse(words[1:], monkeypatch)


def check_pip(words: list[str]) -> None:
    """It installs mmvig with extras, mmvig alone, or packages that an extra names too."""
    if words == ['--no-deps', '.']:
        return
    text = (ROOT / 'setup.py').read_text()
    if words[0] != '-e':
        assert all(re.search(rf"'{word}\b", text) for word in words)
        return
    (_, target) = words
    extras = re.findall(r'\[(\w+)\]', target)
    assert all(f"'{extra}': " in text for extra in extras)


def check_tensorboard(words: list[str], page: Path) -> None:
    """TensorBoard takes the options, and a training of the page logs into its folder."""
    program = pytest.importorskip('tensorboard.program')
    board = program.TensorBoard()
    board.configure(argv=words)
    trainings = [other for other in commands_of(page) if '--tensorboard' in other]
    work_dirs = {f'work_dirs/{Path(config).stem}' for t in trainings for config in configs_of(t)}
    assert board.flags.logdir in work_dirs


def check_launcher(words: list[str], monkeypatch) -> None:
    """The script can be run, and the arguments that it passes to train.py or test.py fit."""
    script, *rest = words
    assert os.access(ROOT / script, os.X_OK)
    if 'slurm' in script:
        rest = [rest[2], '--work-dir', *rest[3:]]
    else:
        count = 2 if 'test' in script else 1
        assert rest.pop(count).isdigit()
    name = 'test' if 'test' in script else 'train'
    main = importlib.import_module(f'mmvig.cli.{name}').main
    parse(main, [*rest, '--launcher', 'pytorch'], monkeypatch)


def run_or_parse(words: list[str], monkeypatch) -> None:
    if words[0] == '-m' and words[1].startswith('benchmarks.'):
        parse(importlib.import_module(words[1]).main, words[2:], monkeypatch)
    elif words[0] == '-m':
        assert words[1] == 'mmvig'
        run_or_parse_command(words[2], words[3:], monkeypatch)
    elif (name := Path(words[0]).stem) in SAME_AS:
        run_or_parse_command(SAME_AS[name], words[1:], monkeypatch)
    else:
        parse_tool(ROOT / words[0], words[1:], monkeypatch)


def parse_tool(script: Path, arguments: list[str], monkeypatch) -> None:
    """Parse the arguments of a tool; one without a parser takes none."""
    if 'argparse' not in script.read_text():
        assert not arguments
        return

    def main(argv: list[str]) -> None:
        monkeypatch.setattr(sys, 'argv', [str(script), *argv])
        runpy.run_path(str(script), run_name='__main__')

    monkeypatch.syspath_prepend(str(script.parent))
    parse(main, arguments, monkeypatch)


def run_or_parse_command(name: str, arguments: list[str], monkeypatch) -> None:
    assert name in mmvig.__main__.COMMANDS
    if name == 'export':
        pytest.importorskip('onnxscript')
    configs = configs_of(arguments)
    cheap = all(re.search(r'_mini(\.py)?$|/mine_', config) for config in configs)
    placeholders = any(re.fullmatch('[A-Z_]+', word) for word in arguments)
    if not cheap or placeholders or name in ENDLESS:
        parse(mmvig.__main__.main, [name, *arguments], monkeypatch)
        return
    if name == 'new-config' and '--out' in arguments:  # the page shows what it writes
        Path(arguments[arguments.index('--out') + 1]).unlink(missing_ok=True)
    provide(arguments, configs[0] if configs else None)
    if name == 'export':
        monkeypatch.setattr('mmvig.export.export', export_by_hand)
    monkeypatch.setattr('mmvig.cli.run.build_runner', lambda cfg: build_runner(shorten(cfg)))
    forget_runs()
    mmvig.__main__.main([name, *arguments])
