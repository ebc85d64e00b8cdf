"""Code, links, names and the generated table of the documentation are right."""

import ast
import importlib
import importlib.util
import re
import sys

import pytest
import torch
from mmengine.registry import MODELS

from tests.support.doc_pages import PAGE_CODE, PAGES, ROOT, blocks


def code_blocks() -> list:
    return [
        pytest.param(text, id=f'{page.stem}-{i}')
        for page in PAGES
        for i, text in enumerate(blocks(page, 'python'))
    ]


@pytest.mark.parametrize('text', code_blocks())
def test_code_parses_and_its_imports_exist(text):
    """Also types and settings: every backbone and neck that a block configures can be built."""
    own = set(re.findall(r'# mmvig/(?:backbones/)?(\w+)\.py', '\n'.join(map(str, PAGE_CODE))))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.split('.')[-1] not in own:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), node.module
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
            settings = {k.arg: k.value for k in node.keywords}
            kind = getattr(settings.get('type'), 'value', '')
            if str(kind).startswith('mmvig.'):
                build(kind, settings)


def build(kind: str, settings: dict) -> None:
    left_out = ('type', '_delete_', 'init_cfg')
    values = {k: ast.literal_eval(v) for k, v in settings.items() if k not in left_out}
    MODELS.build(dict(type=kind, **values))


def test_the_mixer_of_the_page_works(monkeypatch):
    """The example of docs/adding-a-mixer.md, run as it stands."""
    mixer, backbone = blocks(ROOT / 'docs/adding-a-mixer.md', 'python')
    for name, text in (('mmvig.pool_mixer', mixer), ('mmvig.pool_net_of_the_page', backbone)):
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


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.S)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r'^#+ (.*)$', path.read_text(), re.M)
            slugs = {re.sub(r'[^\w\- ]', '', title).lower().replace(' ', '-') for title in titles}
            assert anchor in slugs, target


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_files_that_the_text_names_exist(page):
    for name in re.findall(
        r'`((?:mmvig|tests|tools|configs|kernels|docs)/[\w./-]+)`', page.read_text()
    ):
        assert (ROOT / name).exists() or f'# {name}\n' in ''.join(PAGE_CODE), name


def test_the_model_zoo_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    written = (ROOT / 'docs/model-zoo.md').read_text()
    assert written == importlib.import_module('make_model_zoo').page(), (
        'run tools/make_model_zoo.py'
    )


def test_readme_leads_to_every_page():
    text = (ROOT / 'README.md').read_text()
    for page in (*ROOT.glob('docs/*.md'), ROOT / 'CONTRIBUTING.md'):
        assert f'({page.relative_to(ROOT)})' in text, page.name
