"""Links, names and the generated table of the documentation are right."""

import importlib
import re

import pytest

from tests.support.doc_pages import PAGE_CODE, PAGES, ROOT


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
    folders = 'mmvig|tests|tools|configs|kernels|docs|benchmarks'
    for name in re.findall(rf'`((?:{folders})/[\w./-]+)`', page.read_text()):
        assert (ROOT / name).exists() or f'# {name}\n' in ''.join(PAGE_CODE), name


def test_the_model_zoo_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    written = (ROOT / 'docs/model-zoo.md').read_text()
    assert written == importlib.import_module('make_model_zoo').page(), (
        'run tools/make_model_zoo.py'
    )


def test_readme_leads_to_every_page():
    text = (ROOT / 'README.md').read_text()
    pages = [*ROOT.glob('docs/*.md'), *ROOT.glob('[A-Z]*.md'), ROOT / 'LICENSE']
    for page in set(pages) - {ROOT / 'README.md'}:
        assert f'({page.relative_to(ROOT)})' in text, page.name
