"""Masks as COCO's run lengths, in the compressed form of pycocotools, which need not be there.

Runs of zeros and ones alternate, zeros first, down the columns. From the fourth run on, each is
stored as the difference to the last but one. A number is written in groups of five bits, lowest
first, each as one character from '0' on: the sixth bit says that more follow, and the fifth bit of
the last group is the sign.
"""

import numpy as np

_BITS = 5
_GROUPS = 8  # hold 40 bits, more than the pixels of any image


def encode(mask_YX: np.ndarray, top: int, left: int, shape: tuple[int, int]) -> dict:
    """Run lengths of a mask in an image that is zero elsewhere.

    Args:
        mask_YX: bool.
        top, left: where the mask lies in the image.
        shape: rows and columns of the image, in which the mask lies as a whole.

    Returns:
        dict: `size`, the shape as a list, and `counts`, a string.
    """
    height, width = mask_YX.shape
    padded_XY = np.zeros((width, height + 2), bool)  # each column starts and ends with a zero
    padded_XY[:, 1:-1] = mask_YX.T
    changes = np.flatnonzero(padded_XY[:, 1:] != padded_XY[:, :-1])  # starts and ends of runs
    columns, rows = divmod(changes, height + 1)
    changes = (left + columns) * shape[0] + top + rows
    # Where a run reaches the end of its column and goes on in the next, both are one.
    same = np.flatnonzero(changes[1:-1:2] == changes[2::2])
    changes = np.delete(changes, np.concatenate([2 * same + 1, 2 * same + 2]))
    counts = np.diff(changes, prepend=0, append=shape[0] * shape[1])
    if len(changes) and changes[-1] == shape[0] * shape[1]:
        counts = counts[:-1]
    return {'size': list(shape), 'counts': _compress(counts)}


def decode(lengths: dict) -> np.ndarray:
    """The mask of run lengths, bool [Y, X]."""
    counts = decompress(lengths['counts'])
    height, width = lengths['size']
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def _compress(counts: np.ndarray) -> str:
    numbers = counts.astype(np.int64)
    numbers[3:] -= counts[1:-2]
    rest = numbers[:, None] >> (_BITS * np.arange(_GROUPS + 1))
    groups = rest[:, :-1] & 0b11111
    # Nothing follows a group if its sign bit alone tells the rest.
    more = rest[:, 1:] != -(groups >> 4)
    last = np.argmin(more, axis=1)
    written = np.arange(_GROUPS) <= last[:, None]
    return (groups + (more << _BITS) + ord('0'))[written].astype(np.uint8).tobytes().decode()


def decompress(text: str) -> np.ndarray:
    """Run lengths, int64, from their characters, which must be of the form above."""
    characters = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - ord('0')
    last = characters < 0b100000
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    shifts = _BITS * (np.arange(len(characters)) - np.repeat(starts, ends - starts + 1))
    numbers = np.add.reduceat((characters & 0b11111) << shifts, starts)
    numbers -= ((characters[ends] >> 4) & 1) << (shifts[ends] + _BITS)  # the sign
    for parity in (1, 2):  # sums over every other run, from the second and the third on
        numbers[parity::2] = np.cumsum(numbers[parity::2])
    return numbers
