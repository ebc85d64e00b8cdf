"""Triton kernels compiled ahead of time, without a GPU: they fit, and nothing compiles twice."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILED = {name: value for name, value in os.environ.items() if name != 'TRITON_INTERPRET'}


def python(*args) -> subprocess.CompletedProcess:
    """Run in a fresh process: this one has imported Triton as an interpreter."""
    return subprocess.run([sys.executable, *args], env=COMPILED, capture_output=True, text=True)


@pytest.fixture(scope='module')
def check() -> tuple[int, list[list[str]]]:
    """Exit status of the check, and its rows."""
    done = python(ROOT / 'tools/check_kernels.py')
    rows = [line.split(' | ') for line in done.stdout.splitlines()[2:]]
    # 6 launches, 7 in float32, where the directions take the gradients one after the other; two
    # widths, two chips.
    assert len(rows) == 2 * 2 * (7 + 6 + 6), done.stdout + done.stderr[-2000:]
    return done.returncode, rows


def test_every_kernel_builds(check):
    _, rows = check
    assert {row[4] for row in rows} == {'80', '90'}
    assert {row[3] for row in rows} == {'float32', 'bfloat16', 'float16'}


@pytest.mark.skipif(
    metadata.version('triton') == '3.0.0',
    reason="warps are chosen for Triton 3.6; 3.0's compiler keeps bytes of some kernels on a stack",
)
def test_no_kernel_spills(check):
    status, rows = check
    assert status == 0, rows


def test_the_check_fails_where_a_kernel_spills():
    """K = V = 256 in float32 cannot stay in registers; the tool must say so."""
    done = python(
        ROOT / 'tools/check_kernels.py', '--widths', '256x256', '--dtypes', 'float32', '--sm', '90'
    )
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    assert '| no |' in done.stdout


def test_fifty_lengths_share_one_compilation():
    """Types, constants and specialisations do not see T, batch or heads."""
    code = """
import random, torch
from mmvig.kernels.shapes import Shape
from tools.kernel_builds import launches_of
random.seed(0)
lengths = [1, 2, 16, 64, 70000, *(random.randrange(1, 70000) for _ in range(45))]
kernels = set()
for i, T in enumerate(lengths):
    launches = launches_of(Shape(1 + i % 3, T, (1, 3, 6, 12)[i % 4], 16, 32), torch.bfloat16)
    kernels |= {launch.build(90) for launch in launches}
other = {launch.build(90) for launch in launches_of(Shape(1, 64, 3, 16, 32), torch.float32)}
print(len(set(lengths)), len(kernels), len(kernels | other))
"""
    done = python('-c', code)
    assert done.returncode == 0, done.stderr[-2000:]
    lengths, kernels, with_float32 = map(int, done.stdout.split())
    assert lengths == 50
    assert kernels == 6
    assert with_float32 == 6 + 7 - 2, 'only the scans are the same'
