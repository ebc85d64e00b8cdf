"""A wheel holds what a user needs, and works without the checkout."""

import json
import shutil
import sys
import sysconfig
import venv
import zipfile

import pytest

from tests.support.commands import ROOT, call


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'  # a build leaves files behind
    left_out = ('.*', 'work_dirs', 'data', 'build', '*.egg-info', '__pycache__')
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    call(
        sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--quiet',
        '--wheel-dir', folder, source, cwd=folder,
    )  # fmt: skip
    (path,) = folder.glob('mmvig-*.whl')
    return path


def test_the_wheel_holds_configs_tools_and_kernels(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                assert f'mmvig/.mim/{path.relative_to(ROOT).as_posix()}' in names
    assert 'mmvig/.mim/model-index.yml' in names
    assert {f'mmvig/kernels/{path.name}' for path in ROOT.glob('kernels/*.[pc]*')} <= names
    tops = {name.split('/')[0] for name in names}
    assert {top for top in tops if not top.endswith('.dist-info')} == {'mmvig'}


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
        'train_cfg.max_epochs=1', 'train_cfg.val_interval=10',
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
