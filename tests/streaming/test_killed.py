"""A run whose process is killed goes on in another one."""

import subprocess
import sys

import numpy as np

RUN = """
import os, signal, sys
import numpy as np
from mmvig.models.backbones import MultiScaleViG
from mmvig.streaming import ArrayRows, Workspace, stream_features

def run(folder, on_progress):
    sizes = dict(channels=(8, 16), depths=(1, 1), heads=(1, 2), hidden=(8, 8))
    model = MultiScaleViG(arch=sizes, out_indices=(1,)).eval()
    for number, parameter in enumerate(model.parameters()):
        parameter.data.copy_(parameter.new_ones(parameter.shape).cumsum(-1) * 0.1 + number * 0.01)
    image = np.arange(97 * 50 * 3, dtype=np.uint16).reshape(97, 50, 3)
    with Workspace(folder, resume=True, ram_bytes=0, seconds=0) as workspace:
        (found,) = stream_features(
            model, ArrayRows(image), workspace, strip_rows=3, on_progress=on_progress
        )
        return found.read(0, found.shape[0])
"""
KILLS_ITSELF = """
run(sys.argv[1], lambda done: done > 0.6 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_process_that_is_killed(root, tmp_path):
    scope = {}
    exec(RUN, scope)
    expected = scope['run'](tmp_path, None)
    command = [sys.executable, '-c', RUN + KILLS_ITSELF, str(tmp_path)]
    assert subprocess.run(command, cwd=root).returncode < 0
    fractions = []
    found = scope['run'](tmp_path, fractions.append)
    assert min(fractions) > 0.6
    assert np.array_equal(found, expected)
    assert not list(tmp_path.iterdir())
