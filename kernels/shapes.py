"""The shapes that occur, named after where: for tests, benchmarks and the table of kernels."""

from typing import NamedTuple


class Shape(NamedTuple):
    """B images of T tokens, H heads of K key and V value channels."""

    B: int
    T: int
    H: int
    K: int
    V: int


def _stages(name: str, B: int, height: int, width: int) -> dict[str, Shape]:
    """The four stages of multi-scale ViG tiny, at strides 4 to 32."""
    stages = {}
    for i, heads in enumerate((3, 6, 12, 24)):
        stride = 4 << i
        tokens = -(-height // stride) * -(-width // stride)
        stages[f'{name}-stage{i + 1}'] = Shape(B, tokens, heads, 16, 32)
    return stages


SHAPES: dict[str, Shape] = {
    **_stages('coco-800x1344', 2, 800, 1344),
    **_stages('ade-512x512', 2, 512, 512),
    **_stages('1024x1024', 1, 1024, 1024),
    **_stages('2048x2048', 1, 2048, 2048),
    'plain-800x1344': Shape(2, 4200, 3, 32, 64),
    'plain-1024x1024': Shape(1, 4096, 3, 32, 64),
}

LENGTHS: tuple[int, ...] = tuple(1 << n for n in range(10, 19))
