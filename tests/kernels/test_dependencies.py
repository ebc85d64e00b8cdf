"""The operator's tests need no MM library, so that they run on any machine with a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'torchvision', 'matplotlib', 'PIL')


def test_collected_without_mm_libraries():
    code = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
import pytest
sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', 'tests/kernels']))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
