"""What `make soak` takes for growth."""

import numpy as np
import pytest

from tests.soak.long_run import ALLOWED, judge
from tests.soak.memory import PAGE, SIZES

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
