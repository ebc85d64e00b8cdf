"""A wheel holds what a user needs, and works without the checkout."""

import json
import shutil
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes

import pytest
import yaml

from tests.support.commands import ROOT, call

pytestmark = pytest.mark.slow

TOOLS = {
    'train.py', 'test.py', 'convert_checkpoint.py', 'get_flops.py',
    'dist_train.sh', 'dist_test.sh', 'slurm_train.sh',
}  # fmt: skip
BUILD_SDIST = 'import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])'


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel, built from a source distribution of the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'  # a build leaves files behind
    left_out = ('.*', 'work_dirs', 'data', 'build', '*.egg-info', '__pycache__')
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    call(sys.executable, '-c', BUILD_SDIST, folder, cwd=source)
    (sdist,) = folder.glob('mmvig-*.tar.gz')
    call(
        sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--quiet',
        '--wheel-dir', folder, sdist, cwd=folder,
    )  # fmt: skip
    (path,) = folder.glob('mmvig-*.whl')
    return path


def test_the_wheel_holds_what_an_installed_package_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = {name.removeprefix('mmvig/.mim/') for name in names if name.startswith('mmvig/.mim/')}
    configs = [path for path in ROOT.glob('configs/**/*') if path.suffix in ('.py', '.yml')]
    assert mim == {
        'model-index.yml',
        *(path.relative_to(ROOT).as_posix() for path in configs),
        *(f'tools/{name}' for name in TOOLS),
    }
    files = [path for path in ROOT.glob('mmvig/**/*.*') if path.suffix in ('.py', '.cpp', '.h')]
    modules = [path for path in files if '.mim' not in path.parts]
    kernels = [path for path in ROOT.glob('kernels/**/*.*') if path.suffix in ('.py', '.cpp', '.h')]
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= names
    assert {f'mmvig/{path.relative_to(ROOT).as_posix()}' for path in kernels} <= names
    assert {'cpp', 'h'} <= {name.rpartition('.')[2] for name in names}
    assert 'mmvig/py.typed' in names
    tops = {name.split('/')[0] for name in names}
    assert {top for top in tops if not top.endswith('.dist-info')} == {'mmvig'}


def test_the_wheel_states_its_license(wheel):
    archive = zipfile.ZipFile(wheel)
    (license,) = (name for name in archive.namelist() if name.endswith('/LICENSE'))
    assert archive.read(license) == (ROOT / 'LICENSE').read_bytes()
    (metadata,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    fields = message_from_bytes(archive.read(metadata))
    assert fields['License'] == 'Apache-2.0'
    assert fields['License-File'] == 'LICENSE'
    assert fields['Author'] == 'The mmvig authors'


def test_pre_commit_uses_the_pinned_linter():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    versions = {version for hook in hooks for version in hook['additional_dependencies']}
    assert len(versions) == 1
    for name in ('constraints.txt', 'constraints-openmmlab.txt'):
        assert versions <= set((ROOT / name).read_text().split())


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """A Python with the MM libraries of this environment, and mmvig from the wheel alone."""
    folder = tmp_path_factory.mktemp('installed')
    venv.create(folder / 'venv', with_pip=False)
    python = folder / 'venv/bin/python'
    own = call(
        python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder
    ).stdout.strip()
    # Only the folder itself: what it installs in editable form stays out.
    libraries = sysconfig.get_path('purelib')
    with open(f'{own}/libraries.pth', 'w') as file:
        file.write(f'{libraries}\n')
    call(
        sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', wheel,
        cwd=folder,
    )  # fmt: skip
    return python


def test_an_installed_wheel_trains_and_predicts(installed, tmp_path):
    where = call(
        installed, '-c', "import mmvig; print(mmvig.__file__, mmvig.get_config('vig_maskrcnn'))",
        cwd=tmp_path,
    ).stdout  # fmt: skip
    assert str(ROOT) not in where
    call(
        installed, '-m', 'mmvig', 'train', 'vig_maskrcnn_mini', '--cfg-options',
        'train_cfg.max_epochs=1', 'val_dataloader.dataset.indices=2',
        'train_dataloader.dataset.indices=8', cwd=tmp_path,
    )  # fmt: skip
    checkpoint = tmp_path / 'work_dirs/vig_maskrcnn_mini/epoch_1.pth'
    image = tmp_path / 'data/mini/images/validation/val_0000.jpg'
    call(
        installed, '-m', 'mmvig', 'predict', 'vig_maskrcnn_mini', checkpoint, image, '--out',
        'found', '--score-thr', 0, cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / 'found/vis/val_0000.jpg').is_file()
    assert json.loads((tmp_path / 'found/preds/val_0000.json').read_text())['scores'] is not None
