"""Detections of two runs are paired where roundings explain how they differ, and only there."""

import numpy as np
import pytest

from mmvig.export.detection.matching import pair


def detections(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 400, (count, 2))
    return {
        'boxes': np.concatenate([corner, corner + 40], axis=1).astype(np.float32),
        'scores': np.linspace(1, 0.1, count, dtype=np.float32),
        'labels': np.arange(count) % 3,
    }


def rows(values: dict, index) -> dict:
    return {name: x[index] for name, x in values.items()}


def test_swapped_neighbours_and_one_at_a_threshold():
    expected = detections(50)
    order = [0, 2, 1, *range(3, 49)]
    found, kept = pair(rows(expected, order), expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], kept[name])
        np.testing.assert_array_equal(kept[name], expected[name][:49])


@pytest.mark.parametrize('change', ['another label', 'boxes elsewhere', 'several missing'])
def test_other_detections_are_not_paired(change):
    expected = detections(50)
    found = rows(expected, slice(0, 45 if change == 'several missing' else None))
    if change == 'another label':
        found['labels'] = (found['labels'] + 1) % 3
    if change == 'boxes elsewhere':
        found['boxes'] = found['boxes'] + 20
    assert pair(found, expected) == (found, expected)


@pytest.mark.parametrize(('here', 'there'), [(0, 0), (0, 1), (1, 0)])
def test_nothing_detected(here, there):
    found, expected = pair(detections(here), detections(there))
    assert len(found['labels']) == len(expected['labels']) == 0
    assert found['boxes'].shape == (0, 4)
