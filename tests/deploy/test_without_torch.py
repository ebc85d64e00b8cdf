"""An exported model needs neither torch nor any MM library."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.commands import ROOT, call
from tests.support.environments import environment_with
from tests.support.onnx_graphs import write_model
from tests.support.runtimes import openvino_core_or_skip

BLOCKED = (
    'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'pycocotools',
    'matplotlib', 'onnx', 'onnxscript', 'PIL',
)  # fmt: skip
# What `python -m mmvig predict --model` may load of mmvig beside `mmvig.deploy`.
ALLOWED = {
    'mmvig', 'mmvig.__main__', 'mmvig.configs', 'mmvig.cli', 'mmvig.cli.predict_exported',
    'mmvig.apis', 'mmvig.apis.names', 'mmvig.messages',
}  # fmt: skip
RUN = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import mmvig.deploy
print(sorted(name for name in sys.modules if name.startswith('mmvig')))
import mmvig.__main__
for task in {tasks!r}:
    mmvig.__main__.main(['predict', '--model', f'{{task}}.onnx', 'photo.png', '--out', task])
print(sorted(name for name in sys.modules if name.startswith('mmvig')))
"""
TASKS = ('detection', 'segmentation', 'classification')


@pytest.fixture
def folder(tmp_path) -> Path:
    """With a photo and a model of each task."""
    cv2.imwrite(str(tmp_path / 'photo.png'), np.full((40, 60, 3), (9, 99, 9), np.uint8))
    for task in TASKS:
        write_model(tmp_path / f'{task}.onnx', task)
    return tmp_path


def check_results(folder: Path) -> None:
    found = json.loads((folder / 'detection/preds/photo.json').read_text())
    assert [len(found[key]) for key in ('labels', 'scores', 'bboxes', 'masks')] == [2] * 4
    assert (cv2.imread(str(folder / 'segmentation/pred/photo.png')) == 1).all()
    found = json.loads((folder / 'classification/preds.json').read_text())
    assert found['photo.png']['class'] == 'green'
    for task in TASKS:
        assert cv2.imread(str(folder / task / 'vis/photo.png')).shape == (40, 60, 3)


def test_it_runs_where_the_other_libraries_cannot_be_imported(folder):
    code = RUN.format(blocked=BLOCKED, tasks=TASKS)
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    check_results(folder)
    deploy, command = (set(eval(line)) for line in done.stdout.splitlines())
    own = {name for name in command if name.startswith('mmvig.deploy')}
    assert deploy <= own | {'mmvig', 'mmvig.configs', 'mmvig.messages'}
    assert command - own <= ALLOWED


QUIET = """
import sys
from pathlib import Path
def watch(event, arguments):
    if event == 'os.fork' or event.startswith('socket.'):
        Path('seen').write_text(event)
sys.addaudithook(watch)
from mmvig.deploy import Deployed
Deployed('segmentation.onnx', {runtime!r})(['photo.png'])
import time
time.sleep(1)  # for threads that it may have started
"""


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_nothing_is_sent(runtime, folder):
    """Nor is the process forked, which OpenVINO does for its telemetry."""
    if runtime == 'openvino':
        openvino_core_or_skip()
    call(sys.executable, '-c', QUIET.format(runtime=runtime), cwd=folder)
    assert not (folder / 'seen').exists()


@pytest.mark.slow
def test_it_runs_in_an_environment_of_its_own(folder, tmp_path_factory):
    """With onnxruntime, numpy and OpenCV, and mmvig from a wheel without its dependencies."""
    place = tmp_path_factory.mktemp('deployed')
    packages = ('onnxruntime', 'numpy', 'opencv-python-headless')
    environment = environment_with(place / 'venv', *packages)
    source = place / 'source'  # a build leaves files behind
    left_out = ('.*', 'work_dirs', 'data', 'build', '*.egg-info', '__pycache__', 'docs', 'tests')
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    pip = (sys.executable, '-m', 'pip')
    call(
        *pip, 'wheel', '--no-deps', '--no-build-isolation', '--quiet', '--wheel-dir', place, source,
        cwd=place,
    )  # fmt: skip
    (wheel,) = place.glob('mmvig-*.whl')
    into = ('--python', environment.python, 'install')
    call(*pip, *into, '--no-index', '--no-deps', '--quiet', wheel, cwd=place)
    run = partial(environment.run, cwd=folder)
    installed = run('-c', 'import mmvig; print(mmvig.__file__)').stdout
    assert installed.startswith(str(place))
    for task in TASKS:
        run('-m', 'mmvig', 'predict', '--model', f'{task}.onnx', 'photo.png', '--out', task)
    check_results(folder)
    code = "import mmvig.deploy; print(mmvig.deploy.Deployed('segmentation.onnx')(['photo.png']))"
    assert 'Segmentation(labels=' in run('-c', code).stdout
    code = "import mmvig.deploy; mmvig.deploy.Deployed('segmentation.onnx', 'openvino')"
    failed = run('-c', code, check=False)
    assert 'not installed: pip install openvino' in failed.stderr
