"""Imports point one way, and the layers need only what they may."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A folder may import from itself and from what stands before it.
RANKS = (
    'mmvig.messages',
    'mmvig.optional',
    'mmvig.deploy',  # runs without torch
    'mmvig.kernels',
    'mmvig.ops',
    'mmvig.registry',
    'mmvig.checkpoint',
    'mmvig.models.layers',
    'mmvig.models',
    'mmvig.streaming',
    'mmvig.datasets',
    'mmvig.configs',
    'mmvig',  # the package itself, which only offers `get_config`
    'mmvig.checks',
    'mmvig.engine',
    'mmvig.apis',
    'mmvig.export',
    'mmvig.backbones',  # former names
    'mmvig.inference',
    'mmvig.visualization',
    'mmvig.webui',
    'mmvig.cli',
    'mmvig.__main__',
)
# Inside the kernels, where each backend is a folder or file that knows of no other.
SHARED_BY_BACKENDS = 'mmvig.kernels.dtypes'
BACKENDS = ('reference', 'chunked', 'native', 'triton')


def module_name(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    name = f'mmvig.{name}' if name.startswith('kernels') else name
    return name.removesuffix('.__init__')


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file of the project imports."""
    name = module_name(path)
    package = name if path.name == '__init__.py' else name.rpartition('.')[0]
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit('.', node.level - 1)[0] if node.level else ''
            base = '.'.join(part for part in (base, node.module) if part)
            modules |= {f'{base}.{alias.name}' for alias in node.names}
    return modules


def rank(module: str) -> int:
    """The place of the longest prefix of a module's name in RANKS."""
    while module not in RANKS:
        module = module.rpartition('.')[0]
        assert module, 'expected a module of mmvig'
    return RANKS.index(module)


def sources() -> list[Path]:
    inside = (p for p in ROOT.glob('mmvig/**/*.py') if 'kernels' not in p.relative_to(ROOT).parts)
    return [*ROOT.glob('kernels/**/*.py'), *inside]


@pytest.mark.parametrize('path', sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_imports_upwards(path):
    name = module_name(path)
    for module in imports(path):
        assert module.split('.')[0] != 'kernels', f'{module}: the package is mmvig.kernels'
        if module.split('.')[0] == 'mmvig':
            assert rank(module) <= rank(name), f'{name} imports {module}, which stands above it'


def test_every_folder_has_a_rank():
    """Without one a file would fall to the rank of the whole package."""
    for path in sources():
        name = module_name(path)
        unranked = rank(name) == RANKS.index('mmvig') and name != 'mmvig'
        assert not unranked, f'{name}: place its folder in RANKS'


def test_backends_do_not_import_one_another():
    for path in ROOT.glob('kernels/**/*.py'):
        parts = module_name(path).split('.')[2:]
        if parts and parts[0] in BACKENDS:
            own = f'mmvig.kernels.{parts[0]}'
            for module in imports(path):
                allowed = f'{module}.'.startswith((f'{own}.', f'{SHARED_BY_BACKENDS}.'))
                assert allowed or not module.startswith('mmvig'), f'{path.name} imports {module}'


def test_kernels_know_only_torch_and_triton():
    allowed = {'torch', 'triton', 'mmvig', *sys.stdlib_module_names}
    for path in ROOT.glob('kernels/**/*.py'):
        foreign = {module.split('.')[0] for module in imports(path)} - allowed
        assert not foreign, f'{path.name} imports {foreign}'
        for module in imports(path):
            assert not module.startswith('mmvig') or module.startswith('mmvig.kernels')


@pytest.mark.slow
def test_the_operator_runs_without(tmp_path):
    """In fresh processes, from another folder; triton may be missing on a laptop."""
    names = ('triton', 'mmcv', 'mmengine')
    code = f"""
import os, sys
import torch  # once, then a process for each
for blocked in {names!r}:
    if os.fork() == 0:
        sys.modules[blocked] = None
        from mmvig.kernels import bi_gla
        x = torch.randn(1, 40, 2, 4)
        print(blocked, bi_gla(x, x, x, -x.abs(), None).shape)
        sys.exit()
    os.wait()
"""
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = [f'{name} torch.Size([1, 40, 2, 4])' for name in names]
    assert done.stdout.splitlines() == expected, done.stderr


def test_the_package_claims_no_other_top_level_name():
    from setuptools import find_packages

    found = {name.split('.')[0] for name in find_packages(str(ROOT), include=['mmvig', 'mmvig.*'])}
    assert found == {'mmvig'}
    assert (ROOT / 'mmvig/kernels').is_symlink()
