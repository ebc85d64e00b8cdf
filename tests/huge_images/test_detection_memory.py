"""Resident memory of detection does not grow with the height of the image."""

import subprocess
import sys

import pytest

MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
import torch
from mmvig.streaming import Workspace
from mmvig.streaming.detection import plan_detection, stream_detection
from tests.huge_images.detection_models import detector

torch.set_num_threads(1)

class Noise:
    def __init__(self, height):
        self.shape = height, 512, 3
    def read(self, top, bottom):
        return np.random.default_rng(top).integers(0, 256, (bottom - top, 512, 3), dtype=np.uint8)

model = detector('mask')
options = dict(memory_bytes=2**21)
for height in 2048, 2048, 4096:  # the first one warms up
    Path('/proc/self/clear_refs').write_text('5')  # the peak is what is resident now
    needed = plan_detection(model, Noise(height), **options).needed_bytes / 2**20
    with Workspace(sys.argv[1], ram_bytes=0) as workspace:
        assert len(stream_detection(model, Noise(height), workspace, **options)) == 100
    peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())
    print(int(peak[1]) / 1024, needed)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='peaks are read from /proc')
def test_memory_is_flat(root, tmp_path):
    """Twice the height, where strips are full: 1 MiB more for 8 MiB more of maps."""
    command = [sys.executable, '-c', MEASURE, str(tmp_path)]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    rows = [[float(number) for number in line.split()] for line in done.stdout.splitlines()[-3:]]
    _, (low, small), (high, large) = rows
    assert high - low < (large - small) / 2, rows
