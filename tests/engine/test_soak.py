"""What `make soak` takes for growth, and its programs, shortened."""

import sys

import numpy as np
import pytest

from tests.soak.long_run import ALLOWED, judge
from tests.soak.memory import PAGE, SIZES
from tests.support.commands import ROOT, call

pytestmark = pytest.mark.slow

STEPS = 500


def resident(growth: float, rng: np.random.Generator) -> list[int]:
    """Bytes at every step: by size of image, noise, a jump of the allocator, whole pages."""
    steps = np.arange(STEPS)
    bytes_ = 2**30 + 2**20 * (steps > rng.choice(STEPS)) + growth * steps
    bytes_ += np.tile(rng.permutation(len(SIZES)), STEPS // len(SIZES)) * 2**20
    return ((bytes_ + 2**12 * rng.standard_normal(STEPS)) // PAGE * PAGE).astype(int).tolist()


def measured(growth: float = 0.0, seed: int = 0, **changed) -> dict[str, list[int]]:
    blocks = STEPS // len(SIZES)
    found = dict(resident=resident(growth, np.random.default_rng(seed)))
    return found | dict(tensors=[900] * blocks, files=[7] * blocks) | changed


@pytest.mark.parametrize('seed', range(5))
def test_a_leak_is_found_beside_a_jump_and_noise(seed):
    assert not judge(measured(0, seed)).findings(ALLOWED)
    (finding,) = judge(measured(3 * ALLOWED, seed)).findings(ALLOWED)
    assert 'bytes a step' in finding


@pytest.mark.parametrize('name', ['tensors', 'files'])
def test_one_object_kept_per_block_is_found(name):
    held = list(range(STEPS // len(SIZES)))
    (finding,) = judge(measured(**{name: held})).findings(ALLOWED)
    assert name in finding


SOAK = """
import sys, traceback
from tests.soak import kills, long_run
for program, *options in {programs!r}:
    sys.argv = [program, *options]
    try:
        globals()[program].main()
        print(program, 'ended well')
    except BaseException:  # of SystemExit, too
        traceback.print_exc()
"""


@pytest.fixture(scope='module')
def soaked(workspace, tmp_path_factory):
    """What two programs of `make soak` said, in one process, as they import the same."""
    data = ('--data', str(workspace / 'data/mini'))
    programs = [
        ('kills', '--kills', '2', '--length', '7', *data),
        ('long_run', '--steps', '40', '--allowed', '200000', *data),
    ]
    place = tmp_path_factory.mktemp('soak')
    code = SOAK.format(programs=programs)
    return call(sys.executable, '-c', code, cwd=place, PYTHONPATH=str(ROOT), TMPDIR=str(place))


def test_killed_trainings_resume_to_the_last_bit(soaked):
    """A real training; `make soak` has more of it."""
    assert 'each ended as the undisturbed one to the last bit' in soaked.stdout, soaked.stderr
    assert 'kills ended well' in soaked.stdout, soaked.stderr


def test_a_long_training_does_not_grow(soaked):
    """In so few steps only 200 kB a step show, but every tensor and file that is held."""
    assert '40 steps' in soaked.stdout, soaked.stderr
    assert 'long_run ended well' in soaked.stdout, soaked.stderr
