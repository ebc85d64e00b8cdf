"""Every command of the documentation, a line of a ```bash block, does what it says.

The rule for each:

1. `python -m mmvig COMMAND` and the tools that are the same commands **run** in a workspace with
   the mini set, if every config they name is for the mini set (its name ends in `_mini`) or for
   data of one's own (`mine_…`, written from the page's code block), or if they name none. Trainings
   and evaluations are shortened to a few small images. Checkpoints, photos and logs that a command
   names are made for it.
2. All others that take their arguments by argparse are **parsed**, by the script's own parser:
   those that need COCO and the like, GPUs (`tools/*.sh`: as the training or test they start), hours
   (other tools), or that do not end (`serve`).
3. Of the rest (make, pip, tensorboard) the target, the extra, or the module must exist.

Words in capitals are placeholders, which no file need fit.
"""

import argparse
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmvig.__main__
from mmvig.cli.run import read_config
from mmvig.engine.runner import CheckedRunner
from mmvig.visualization.inspect.model import build_model
from tests.support.commands import forget_runs
from tests.support.doc_pages import PAGES, ROOT, blocks

SAME_AS = {'train': 'train', 'test': 'test', 'get_flops': 'flops', 'convert_checkpoint': 'convert'}
ENDLESS = ('serve',)


def commands() -> list:
    """All commands with their page: words, without the variables that stand before them."""
    found = []
    for page in PAGES:
        for block in blocks(page, 'bash'):
            for line in block.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
                    words = words[1:]
                if words:
                    found.append(pytest.param(words, id=f'{page.stem}: {shlex.join(words)}'))
    return found


class Parsed(Exception):  # noqa: N818
    """Thrown instead of carrying a command out; holds the arguments."""


def parse(start, words: list[str], monkeypatch) -> argparse.Namespace:
    """What the parser inside `start` makes of the words; nothing after it runs."""
    original = argparse.ArgumentParser.parse_known_args

    def stop(self, *args, **kwargs):
        raise Parsed(original(self, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_known_args', stop)
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_known_intermixed_args', stop)
    monkeypatch.setattr(sys, 'argv', ['command', *words])
    with pytest.raises(Parsed) as caught:
        start()
    (arguments, unknown) = caught.value.args[0]
    assert not unknown, f'unknown arguments {unknown}'
    return arguments


@pytest.fixture(scope='session')
def desk(workspace, tmp_path_factory) -> Path:
    """A folder in which the commands of the pages can be given."""
    folder = tmp_path_factory.mktemp('desk')
    for name in ('configs', 'benchmarks', 'tools'):
        shutil.copytree(ROOT / name, folder / name)
    (folder / 'data').mkdir()
    shutil.copytree(workspace / 'data/mini', folder / 'data/mini')
    (folder / 'data/mine').symlink_to(folder / 'data/mini')
    for page in PAGES:
        for block in blocks(page, 'python'):
            if match := re.match(r'# (configs/\S+\.py)\n', block):
                (folder / match[1]).write_text(block)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    (folder / 'folder').mkdir()
    for name in ('photo.jpg', 'folder/a.jpg'):
        cv2.imwrite(str(folder / name), image)
    return folder


def configs_of(words: list[str]) -> list[str]:
    """The configs that a command names."""
    known = {Path(name).name for name in mmvig.configs.list_configs()}
    return [
        word
        for word in words
        if word.startswith('configs/') or (Path(word).stem in known and '/' not in word)
    ]


def shorten(cfg: Config) -> Config:
    """The same training or evaluation with the smallest backbone, of a few images."""
    loop = cfg.train_cfg
    loop.update({'max_iters': 1} if 'max_iters' in loop else {'max_epochs': 1})
    loop.val_interval = 100
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        batch_size = 2 if split == 'train' else 1  # batch norms learn from several values
        loader.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
        loader.dataset.indices = 2
        for step in loader.dataset.pipeline:
            step.update({'scale': (256, 192)} if 'scale' in step else {})
            step.update({'crop_size': (96, 96)} if 'crop_size' in step else {})
    if cfg.model.backbone.arch == 'tiny':
        _make_small(cfg.model)
    return cfg


def _make_small(model: dict) -> None:
    """ViG nano instead of tiny, and light heads."""
    model.backbone.update(arch='nano', init_cfg=None)
    widths = [32, 64, 128, 256]
    if 'neck' in model:
        model.neck.in_channels = widths
        model.roi_head.bbox_head.fc_out_channels = 64
        model.train_cfg.rcnn.sampler.num = 16
        model.test_cfg.rpn.max_per_img = 100
    else:
        model.data_preprocessor.size = (96, 96)
        model.decode_head.update(in_channels=widths, channels=32)
        model.auxiliary_head.update(in_channels=128, channels=32)


def provide(words: list[str], config: str | None) -> None:
    """Make the checkpoints and logs that a command names and an earlier one would have written."""
    for word in words:
        path = Path(word)
        log = path / '20260101_000000/vis_data/scalars.json'
        if word.startswith('work_dirs/') and not path.suffix and not log.exists():
            log.parent.mkdir(parents=True)
            names = ('lr', 'loss', 'grad_norm', 'loss_mask')
            lines = [dict.fromkeys(names, 1 / i) | {'iter': i, 'step': i} for i in (1, 2)]
            lines.append({'coco/bbox_mAP': 0.5, 'step': 2})
            log.write_text('\n'.join(map(json.dumps, lines)))
        if path.suffix == '.pth' and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            if config is None:
                model = mmvig.models.backbones.MultiScaleViG(arch='nano')
                weights = mmvig.checkpoint.to_official(model.state_dict())
                torch.save({'model': weights}, path)
                continue
            cfg = shorten(read_config(config))
            dataset_meta = cfg.test_dataloader.dataset.get('metainfo') or {
                'classes': mmvig.datasets.shapes.CLASSES,
                'palette': mmvig.datasets.shapes.PALETTE,
            }
            state = build_model(cfg, None).state_dict()
            torch.save({'state_dict': state, 'meta': {'dataset_meta': dict(dataset_meta)}}, path)


def check_names(words: list[str], desk: Path) -> None:
    """Files of the project that a command names are there."""
    for word in words:
        if word.startswith(('configs/', 'tools/', 'benchmarks/', 'tests/', 'docs/')):
            assert (desk / word).exists() or (ROOT / word).exists(), word
    for name in configs_of(words):
        read_config(name)


@pytest.mark.parametrize('words', commands())
def test_command(words, desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    check_names(words, desk)
    if words[0] == 'make':
        assert re.search(rf'^{words[1]}:', (ROOT / 'Makefile').read_text(), re.M)
    elif words[:2] == ['pip', 'install']:
        check_pip(words[2:])
    elif words[0] == 'tensorboard':
        assert words[1] == '--logdir'
    elif words[0].endswith('.sh'):
        check_launcher(words, monkeypatch)
    elif words[1:3] == ['-m', 'pytest']:
        assert all(Path(ROOT, word).exists() for word in words[3:])
    else:
        assert words[0] == 'python', 'this test knows no other commands'
        run_or_parse(words[1:], monkeypatch)


def check_pip(words: list[str]) -> None:
    (flag, target) = words
    assert flag == '-e'
    extras = re.findall(r'\[(\w+)\]', target)
    text = (ROOT / 'setup.py').read_text()
    assert all(f"'{extra}': " in text for extra in extras)


def check_launcher(words: list[str], monkeypatch) -> None:
    """The script runs, and what it hands to train.py or test.py fits."""
    script, *rest = words
    assert os.access(ROOT / script, os.X_OK)
    if 'slurm' in script:
        rest = [rest[2], '--work-dir', *rest[3:]]
    else:
        count = 2 if 'test' in script else 1
        assert rest.pop(count).isdigit()
    name = 'test' if 'test' in script else 'train'
    module = importlib.import_module(f'mmvig.cli.{name}')
    parse(module.main, [*rest, '--launcher', 'pytorch'], monkeypatch)


def run_or_parse(words: list[str], monkeypatch) -> None:
    if words[0] == '-m':
        assert words[1] == 'mmvig'
        name, arguments = words[2], words[3:]
        assert name in mmvig.__main__.COMMANDS
    else:
        name, arguments = SAME_AS.get(Path(words[0]).stem), words[1:]
        if name is None:
            monkeypatch.syspath_prepend(str(ROOT / 'tools'))
            script = ROOT / words[0]
            if 'argparse' in script.read_text():
                start = lambda: runpy.run_path(str(script), run_name='__main__')  # noqa: E731
                parse(start, arguments, monkeypatch)
            else:
                assert not arguments
            return
    main = importlib.import_module(f'mmvig.cli.{name.replace("-", "_")}').main
    named = configs_of(arguments)
    cheap = all(re.search(r'_mini(\.py)?$|/mine_', config) for config in named)
    placeholders = any(re.fullmatch('[A-Z_]+', word) for word in arguments)
    if not cheap or placeholders or name in ENDLESS:
        parse(main, arguments, monkeypatch)
        return
    provide(arguments, named[0] if named else None)
    original = CheckedRunner.from_cfg
    monkeypatch.setattr(CheckedRunner, 'from_cfg', lambda cfg: original(shorten(cfg)))
    monkeypatch.setattr(sys, 'argv', ['mmvig', name, *arguments])
    forget_runs()
    mmvig.__main__.main()
