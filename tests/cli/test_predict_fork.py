"""Prediction in a process that is forked after one: it ends, on one thread."""

import os
import subprocess
import sys

import pytest

SECONDS = 60  # a prediction takes less than one

PROGRAM = """
import os, sys, time
import numpy as np
import torch
from mmengine.config import Config
from mmvig.apis.inference import Predictor

predictor = Predictor(Config.fromfile('seg.py'), 'seg.pth', 'cpu')
image = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)

def predict():
    (prediction,) = predictor.predict([image])
    return prediction.result

torch.randn(512, 512) @ torch.randn(512, 512)
before = predict()
child = os.fork()
if child == 0:
    same = np.array_equal(predict(), before)
    os._exit(0 if same and torch.get_num_threads() == 1 else 1)
for _ in range(10 * SECONDS):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.1)
os.kill(child, 9)
sys.exit('the forked process hangs')
"""


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork here')
def test_a_forked_process_predicts(valid_inputs):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM.replace('SECONDS', str(SECONDS))],
        cwd=valid_inputs,
        env=os.environ | {'OMP_NUM_THREADS': '2'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
