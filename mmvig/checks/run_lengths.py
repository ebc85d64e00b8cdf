"""Whether run lengths of a mask fill its image: the library that decodes them does not ask."""

import numpy as np

from .coco_file import are_finite


def run_problem(mask: dict, height: float, width: float) -> str | None:
    """What is wrong with run lengths, plain or compressed; None if nothing."""
    size, counts = mask.get('size'), mask.get('counts')
    expected = [height, width]
    if size != expected:
        return f': expected run lengths of the size of the image, {expected}, got {size}'
    runs = _decode(counts) if isinstance(counts, str) else counts
    numbers = isinstance(runs, list) and runs and are_finite(runs) and min(runs) >= 0
    if not numbers or sum(runs) != size[0] * size[1]:
        got = f'a sum of {sum(runs)}' if numbers else repr(counts)[:60]
        return f': expected run lengths of {size[0]}·{size[1]} pixels in all, got {got}'
    return None


def _decode(text: str) -> list[int] | None:
    """Run lengths from COCO's compressed form: 5 bits a character, differences from the third on.

    https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c, rleFrString.
    """
    bits = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    if not bits.size or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        return None
    last = (bits & 32) == 0
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(bits.size) - np.repeat(starts, np.diff([*starts, bits.size]))
    if place.max() > 10:
        return None
    runs = np.add.reduceat((bits & 31) << (5 * place), starts)
    negative = (bits[last] & 16) > 0
    runs -= np.where(negative, 1 << (5 * (place[last] + 1)), 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs.tolist()
