"""Triton kernels compiled ahead of time, without a GPU: they fit, and nothing compiles twice."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILED = {name: value for name, value in os.environ.items() if name != 'TRITON_INTERPRET'}


def python(*args) -> subprocess.CompletedProcess:
    """Run in a fresh process: this one has imported Triton as an interpreter."""
    return subprocess.run([sys.executable, *args], env=COMPILED, capture_output=True, text=True)


def test_every_kernel_builds_without_spills():
    done = python(ROOT / 'tools/check_kernels.py')
    rows = [line.split(' | ') for line in done.stdout.splitlines()[2:]]
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    # 6 launches, 7 in float32, where the directions take the gradients one after the other; two
    # widths, two chips.
    assert len(rows) == 2 * 2 * (7 + 6 + 6)
    assert {row[4] for row in rows} == {'80', '90'}
    assert {row[3] for row in rows} == {'float32', 'bfloat16', 'float16'}


def test_the_check_fails_where_a_kernel_spills():
    """K = V = 256 in float32 cannot stay in registers; the tool must say so."""
    done = python(
        ROOT / 'tools/check_kernels.py', '--widths', '256x256', '--dtypes', 'float32', '--sm', '90'
    )
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    assert '| no |' in done.stdout


def test_fifty_lengths_share_one_compilation():
    """Equal cache keys: types, constants and specialisations do not see T, batch or heads."""
    code = """
import random, torch
from mmvig.kernels.shapes import Shape
from mmvig.kernels.triton_launches import launches_of
random.seed(0)
lengths = [1, 2, 16, 64, 70000, *(random.randrange(1, 70000) for _ in range(45))]
keys = set()
for i, T in enumerate(lengths):
    launches = launches_of(Shape(1 + i % 3, T, (1, 3, 6, 12)[i % 4], 16, 32), torch.bfloat16)
    keys |= {launch.cache_key() for launch in launches}
other = {launch.cache_key() for launch in launches_of(Shape(1, 64, 3, 16, 32), torch.float32)}
print(len(set(lengths)), len(keys), len(keys | other))
"""
    done = python('-c', code)
    assert done.returncode == 0, done.stderr[-2000:]
    lengths, kernels, with_float32 = map(int, done.stdout.split())
    assert lengths == 50
    assert kernels == 6
    assert with_float32 > kernels, 'the keys do tell different kernels apart'
