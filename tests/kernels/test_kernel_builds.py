"""Triton kernels compiled ahead of time, without a GPU: they fit, and nothing compiles twice."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmvig.kernels.triton import OPENS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# Launches of a call, those of open chunks only for 16 bits.
LAUNCHES, LAUNCHES_16_BITS = 7, 11 if OPENS else 7
COMPILED = {name: value for name, value in os.environ.items() if name != 'TRITON_INTERPRET'}


def python(*args) -> subprocess.CompletedProcess:
    """Run in a fresh process: in this one Triton may be an interpreter."""
    return subprocess.run(
        [sys.executable, *map(str, args)], env=COMPILED, capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture(scope='module')
def check(tmp_path_factory) -> tuple[subprocess.CompletedProcess, list[dict]]:
    """The check of all kernels, and its rows."""
    path = tmp_path_factory.mktemp('builds') / 'rows.csv'
    done = python(ROOT / 'tools/check_kernels.py', '--summary', '--csv', path)
    assert path.exists(), done.stdout + done.stderr[-2000:]
    return done, list(csv.DictReader(path.open()))


def test_every_kernel_builds(check):
    _, rows = check
    # All launches and the scan with states; all but the two scans again for gates in float32; two
    # widths, two chips, three dtypes.
    every = LAUNCHES + 2 * LAUNCHES_16_BITS
    assert len(rows) == 2 * 2 * (every + 3 + every - 3 * 2)
    assert sum(row['gates'] == 'float32' for row in rows) == 2 * 2 * (every - 3 * 2)
    of_open = LAUNCHES_16_BITS - LAUNCHES
    assert sum('_open_' in row['kernel'] for row in rows) == 2 * 2 * 2 * 2 * of_open
    assert sum(row['kernel'].endswith(' of keys with states') for row in rows) == 2 * 2 * 3
    assert {row['sm'] for row in rows} == {'80', '90'}
    assert {row['dtype'] for row in rows} == {'float32', 'bfloat16', 'float16'}


def test_summary_has_the_largest_of_each_kernel(check):
    done, rows = check
    lines = done.stdout.partition('\n\n')[2].splitlines()
    header, *table = ([cell.strip() for cell in line.split('|')[1:-1]] for line in lines)
    summary = {row[0]: dict(zip(header, row, strict=True)) for row in table if '---' not in row[0]}
    assert len(summary) == (6 if OPENS else 4)
    assert sum(int(row['builds']) for row in summary.values()) == len(rows)
    for name, row in summary.items():
        builds = [build for build in rows if build['kernel'].split(' of ')[0] == name]
        assert int(row['REG']) == max(int(build['REG']) for build in builds)


def test_no_kernel_spills(check):
    done, rows = check
    assert done.returncode == 0, rows


def test_the_check_fails_where_a_kernel_spills():
    """K = 256 in float32 cannot stay in registers; the tool must say so. Of two kernels, as all
    of this width take half a minute."""
    code = """
import sys
sys.path.insert(0, 'tools')
import check_kernels
launches_of = check_kernels.launches_of
few = 'bi_gla_kernel_output', 'bi_gla_kernel_scan of keys'
check_kernels.launches_of = lambda *args, **kwargs: [
    launch for launch in launches_of(*args, **kwargs) if launch.name in few
]
check_kernels.main(['--widths', '256x16', '--dtypes', 'float32', '--sm', '90'])
"""
    done = python('-c', code)
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    table = [row.strip('| ').split(' | ') for row in done.stdout.splitlines()[2:]]
    fits = {name: fits for name, *_, fits in table}
    assert fits['bi_gla_kernel_output'] == 'no'
    assert fits['bi_gla_kernel_scan of keys'] == 'yes'


def test_fifty_lengths_share_one_compilation():
    """Types, constants and specialisations do not see T, batch or heads."""
    code = """
import random, torch
from mmvig.kernels.shapes import Shape
from tools.kernel_builds import launches_of
random.seed(0)
lengths = [1, 2, 16, 64, 70000, *(random.randrange(1, 70000) for _ in range(45))]
kernels, states = set(), set()
for i, T in enumerate(lengths):
    shape = Shape(1 + i % 3, T, (1, 3, 6, 12)[i % 4], 16, 32)
    launches = launches_of(shape, torch.bfloat16)
    kernels |= {launch.build(90) for launch in launches}
    launches = launches_of(shape, torch.bfloat16, states=True)
    states |= {launch.build(90) for launch in launches}
other = {launch.build(90) for launch in launches_of(Shape(1, 64, 3, 16, 32), torch.float32)}
print(len(set(lengths)), len(kernels), len(kernels | other), len(states - kernels))
"""
    done = python('-c', code)
    assert done.returncode == 0, done.stderr[-2000:]
    lengths, kernels, with_float32, of_states = map(int, done.stdout.split())
    assert lengths == 50
    assert kernels == LAUNCHES_16_BITS
    assert with_float32 == kernels + LAUNCHES - 2, 'only the scans are the same'
    assert of_states == 1, 'only the scan knows of states'
