"""Imports point one way, and the layers need only what they may."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Later files may import earlier ones.
ORDER = ('mmvig.kernels', 'mmvig.registry', 'mmvig.pointwise', 'mmvig.products',
         'mmvig.slabs', 'mmvig.mixer', 'mmvig.retention',
         'mmvig.key_only', 'mmvig.block', 'mmvig.checkpoint', 'mmvig.backbones.base',
         'mmvig.backbones.multi_scale', 'mmvig.backbones.plain', 'mmvig.backbones', 'mmvig.neck',
         'mmvig.hosts', 'mmvig.optim', 'mmvig.fsdp', 'mmvig.random_state', 'mmvig.whole_file',
         'mmvig.datasets',
         'mmvig.hooks.first_not_finite', 'mmvig.hooks', 'mmvig.images', 'mmvig.checked_pipeline',
         'mmvig.zoo', 'mmvig.inspection.features', 'mmvig.inspection.field',
         'mmvig.inspection.mixers', 'mmvig.inspection.record', 'mmvig.inspection', 'mmvig.curves',
         'mmvig.inference', 'mmvig.page.answer', 'mmvig.page',
         'mmvig.cli', 'mmvig.__main__')  # fmt: skip


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file of the project imports."""
    name = path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    name = f'mmvig.{name}' if name.startswith('kernels') else name
    package = name if path.name == '__init__.py' else name.rpartition('.')[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit('.', node.level - 1)[0] if node.level else ''
            base = '.'.join(part for part in (base, node.module) if part)
            found |= {base} | {f'{base}.{alias.name}' for alias in node.names}
    return found


def rank(module: str) -> int | None:
    for i, layer in enumerate(ORDER):
        if module == layer or module.startswith(f'{layer}.'):
            return i
    return None


def sources() -> list[Path]:
    return [
        *ROOT.glob('kernels/*.py'),
        *(p for p in ROOT.glob('mmvig/**/*.py') if p.parent.name != 'kernels'),
    ]


@pytest.mark.parametrize('path', sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_imports_upwards(path):
    inside = path.relative_to(ROOT).as_posix().replace('/', '.').removesuffix('.py')
    own = rank(f'mmvig.{inside}' if inside.startswith('kernels') else inside)
    for module in imports(path):
        assert module.split('.')[0] != 'kernels', f'{module}: the package is mmvig.kernels'
        if own is not None and (other := rank(module)) is not None:
            assert other <= own, f'{path.name} imports {module}, which stands above it'


def test_kernels_know_only_torch_and_triton():
    allowed = {'torch', 'triton', 'mmvig', *sys.stdlib_module_names}
    for path in ROOT.glob('kernels/*.py'):
        foreign = {module.split('.')[0] for module in imports(path)} - allowed
        assert not foreign, f'{path.name} imports {foreign}'
        for module in imports(path):
            assert not module.startswith('mmvig') or module.startswith('mmvig.kernels')


@pytest.mark.parametrize('blocked', ['triton', 'mmcv', 'mmengine'])
def test_the_operator_runs_without(blocked, tmp_path):
    """In a fresh process, from another folder; triton may be missing on a laptop."""
    code = f"""
import sys
sys.modules[{blocked!r}] = None
import torch
from mmvig.kernels import bi_gla
x = torch.randn(1, 40, 2, 4)
print(bi_gla(x, x, x, -x.abs(), None).shape)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert 'torch.Size([1, 40, 2, 4])' in done.stdout


def test_the_package_claims_no_other_top_level_name():
    from setuptools import find_packages

    found = {name.split('.')[0] for name in find_packages(str(ROOT), include=['mmvig', 'mmvig.*'])}
    assert found == {'mmvig'}
    assert (ROOT / 'mmvig/kernels').is_symlink()
