"""Prediction in a process that is forked after one: it ends, on one thread, compiled or not."""

import os
import subprocess
import sys

import pytest

SECONDS = 60  # a prediction takes less than one

PROGRAM = f"""
import faulthandler, os, signal
faulthandler.register(signal.SIGALRM, chain=True)  # shows where a process hangs, and ends it
signal.alarm(3 * {SECONDS})
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
def sums(x_TC):
    return (2 * x_TC).sigmoid().sum(-1)

# Before torch 2.6, a forked child cannot be kept from compiled code.
compiled = torch.compile(sums) if hasattr(torch.compiler, 'set_stance') else sums
x_TC = torch.randn(4000, 64)
sums_T = compiled(x_TC)
child = os.fork()
if child == 0:
    signal.alarm({SECONDS})
    same = np.array_equal(predict(), before) and torch.allclose(compiled(x_TC), sums_T)
    os._exit(0 if same and torch.get_num_threads() == 1 else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork here')
def test_a_forked_process_predicts(valid_inputs):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        cwd=valid_inputs,
        env=os.environ | {'OMP_NUM_THREADS': '2'},
        capture_output=True,
        text=True,
        timeout=5 * SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
