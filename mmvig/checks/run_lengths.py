"""Whether run lengths of a mask fill its image: the library that decodes them does not ask."""

import re

from mmvig.deploy.run_lengths import decompress

from .coco_file import are_finite

# Numbers of up to eleven characters, of which all but the last have the bit 32 above '0'.
_COMPRESSED = re.compile('([P-o]{0,10}[0-O])+')


def run_problem(mask: dict, height: float, width: float) -> str | None:
    """What is wrong with run lengths, plain or compressed; None if nothing."""
    size, counts = mask.get('size'), mask.get('counts')
    expected = [height, width]
    if size != expected:
        return f': expected run lengths of the size of the image, {expected}, got {size}'
    runs = _decompress(counts) if isinstance(counts, str) else counts
    numbers = isinstance(runs, list) and runs and are_finite(runs) and min(runs) >= 0
    if not numbers or sum(runs) != size[0] * size[1]:
        got = f'a sum of {sum(runs)}' if numbers else repr(counts)[:60]
        return f': expected run lengths of {size[0]}·{size[1]} pixels in all, got {got}'
    return None


def _decompress(text: str) -> list[int] | None:
    return decompress(text).tolist() if _COMPRESSED.fullmatch(text) else None
