"""Every Python block of the documentation runs, as it stands, in a namespace of its own.

It runs in a folder with the files that the pages assume. For speed, three things are substituted:

- `mmvig.get_config(NAME)` returns a config derived from NAME, with ViG nano and light heads.
- A checkpoint (`….pth`) that a block names beside a config is written by that small model.
- An exported model (`….onnx`) is a detector made by hand.

Whole configs (`# configs/….py`) are loaded. Fragments of configs run as Python, and every backbone
and neck that they configure is built. Blocks that are modules (`# mmvig/….py`) run together, in a
test of their own.
"""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import mmvig
from tests.support.doc_pages import PAGES, ROOT, blocks
from tests.support.docs_workspace import shrink_model, write_checkpoint, write_exported


def code_blocks() -> list:
    return [
        pytest.param(
            text,
            id=f'{page.stem}-{i}',
            marks=pytest.mark.slow if 'mmvig.export' in text else (),
        )
        for page in PAGES
        for i, text in enumerate(blocks(page, 'python'))
        if not text.startswith('# mmvig/')
    ]


@pytest.mark.parametrize('text', code_blocks())
def test_code_runs(text, docs_workspace, monkeypatch, tmp_path):
    if 'mmvig.export' in text:
        pytest.importorskip('onnxscript')
    monkeypatch.chdir(docs_workspace)
    if match := re.match(r'# (configs/\S+\.py)\n', text):  # `_base_` is the config inherited
        Config.fromfile(match[1])
        return
    substitute_configs(text, monkeypatch, tmp_path)
    for exported in re.findall(r"'([\w/]+\.onnx)'", text):
        write_exported(Path(exported))
    exec(compile(text, 'documentation', 'exec'), {'__name__': 'documentation'})


def substitute_configs(text: str, monkeypatch, folder: Path) -> None:
    """Small configs and checkpoints in place of those that a block names."""
    small = {}
    for name in re.findall(r"get_config\('(\w+)'\)", text):
        cfg = Config.fromfile(mmvig.get_config(name))
        if not name.endswith('_mini'):
            shrink_model(cfg.model)
        small[name] = str(folder / f'{name}.py')
        cfg.dump(small[name])
        for checkpoint in re.findall(r"'([\w/]+\.pth)'", text):
            write_checkpoint(Path(checkpoint), cfg)
    monkeypatch.setattr(mmvig, 'get_config', small.__getitem__)


@pytest.mark.parametrize('text', code_blocks())
def test_configured_types_and_settings_exist(text):
    """Every backbone and neck of mmvig that a block configures can be built."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
            settings = {k.arg: k.value for k in node.keywords}
            kind = str(getattr(settings.get('type'), 'value', ''))
            if kind.startswith('mmvig.'):
                build(kind, settings)


def build(kind: str, settings: dict[str, ast.expr]) -> None:
    left_out = ('type', '_delete_', 'init_cfg')
    values = {k: ast.literal_eval(v) for k, v in settings.items() if k not in left_out}
    MODELS.build(dict(type=kind, **values))


def test_the_mixer_of_the_page_works(monkeypatch):
    """The modules of docs/adding-a-mixer.md, under the names that it gives them."""
    for text in blocks(ROOT / 'docs/adding-a-mixer.md', 'python'):
        path = re.match(r'# (mmvig/\S+)\.py\n', text)[1]
        name = path.replace('/', '.')
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, None))
        monkeypatch.setitem(sys.modules, name, module)
        exec(text, module.__dict__)
    model = module.PoolNet(frozen_stages=1)
    model.init_weights()
    maps = model(torch.randn(1, 3, 50, 70))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (32, 13, 18),
        (64, 7, 9),
        (128, 4, 5),
        (256, 2, 3),
    ]
