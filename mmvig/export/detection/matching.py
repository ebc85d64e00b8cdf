"""Which detections of two runs of one detector are the same."""

import math

import numpy as np

Detections = dict[str, np.ndarray]

NEAR = 0.01  # two boxes are of one detection up to this part of the largest coordinate
ALONE = 0.02  # of all detections, those that may be in one run only


def pair(found: Detections, expected: Detections) -> tuple[Detections, Detections]:
    """The detections that both runs have, in the order of `expected`.

    A rounding swaps two of nearly equal scores, and decides about one that is at a threshold: of
    the score, of an overlap, or of the number kept. So the order is not compared, and few may be
    alone. If more are, the runs are returned as they came.

    Args:
        found, expected: outputs of the detector by name.
    """
    free = np.ones(len(found['labels']), bool)
    limit = NEAR * max(boxes.max(initial=0) for boxes in (found['boxes'], expected['boxes']))
    rows = []
    for row, (box, label) in enumerate(zip(expected['boxes'], expected['labels'], strict=True)):
        candidates = np.flatnonzero(free & (found['labels'] == label))
        if not len(candidates):
            continue
        distances = np.abs(found['boxes'][candidates] - box).max(axis=1)
        nearest = distances.argmin()
        if distances[nearest] <= limit:
            rows.append((candidates[nearest], row))
            free[candidates[nearest]] = False
    total = len(found['labels']) + len(expected['labels'])
    if total - 2 * len(rows) > math.ceil(ALONE * total / 2):
        return found, expected
    here, there = np.array(rows, int).reshape(-1, 2).T
    return (
        {name: values[here] for name, values in found.items()},
        {name: values[there] for name, values in expected.items()},
    )
