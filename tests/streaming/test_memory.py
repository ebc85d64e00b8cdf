"""Resident memory does not grow with the height of the image."""

import subprocess
import sys

import pytest

MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
import torch
from mmvig.streaming import Workspace, plan_segmentation
from tests.streaming.models import segmentor

torch.set_num_threads(1)

class Noise:
    def __init__(self, height):
        self.shape = height, 512, 3
    def read(self, top, bottom):
        return np.random.default_rng(top).integers(0, 256, (bottom - top, 512, 3), dtype=np.uint8)

class Nowhere:
    def write(self, top, rows):
        pass

def measure(height):
    plan = plan_segmentation(model, Noise(height), Nowhere(), memory_bytes=2**21)
    with Workspace(sys.argv[1], ram_bytes=int(sys.argv[2])) as workspace:
        workspace.run(plan)
    return plan.needed_bytes / 2**20

model = segmentor()
for height in 3072, 3072, 6144:  # the first one warms up
    Path('/proc/self/clear_refs').write_text('5')  # the peak is what is resident now
    needed = measure(height)
    peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())
    print(int(peak[1]) / 1024, needed)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='peaks are read from /proc')
def test_memory_is_flat(root, tmp_path):
    """Twice the height, where strips are full: 3 MiB more for 12 MiB more of maps."""
    command = [sys.executable, '-c', MEASURE, str(tmp_path), '0']
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    rows = [[float(number) for number in line.split()] for line in done.stdout.splitlines()[-2:]]
    (low, small), (high, large) = rows
    assert high - low < (large - small) / 2
