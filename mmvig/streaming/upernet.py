"""mmseg's UPerHead as a graph of maps: pyramid pooling by sums over strips, then an FPN."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .convolution import layer
from .errors import StreamingError
from .maps import Concatenation, Map, Sum
from .plan import Plan
from .resizing import Bilinear
from .storage import StoredMap


def upernet_logits(plan: Plan, head: nn.Module, maps: Sequence[Map]) -> Map:
    """The logits of a head at the size of its first map; a pass for its pooling is appended.

    Raises:
        StreamingError: the head is another one.
    """
    if type(head).__name__ != 'UPerHead':
        raise StreamingError(f'expected a decode head UPerHead, got {type(head).__name__}')
    inputs = [maps[i] for i in head.in_index]

    def resize(source: Map, like: Map) -> Map:
        return Bilinear(source, like.shape[:2], head.align_corners)

    last = inputs[-1]
    pooled = [resize(one, last) for one in pooled_maps(plan, head.psp_modules, last)]
    laterals = [layer(one, conv) for one, conv in zip(inputs, head.lateral_convs, strict=False)]
    laterals.append(layer(Concatenation(last, *pooled), head.bottleneck))
    for i in range(len(laterals) - 1, 0, -1):
        laterals[i - 1] = Sum(laterals[i - 1], resize(laterals[i], laterals[i - 1]))
    outs = [layer(one, conv) for one, conv in zip(laterals, head.fpn_convs, strict=False)]
    outs = [*outs, laterals[-1]]
    together = Concatenation(outs[0], *(resize(one, outs[0]) for one in outs[1:]))
    return layer(layer(together, head.fpn_bottleneck), head.conv_seg)


def pooled_maps(plan: Plan, modules: nn.ModuleList, source: Map) -> list[Map]:
    """What a pooling pyramid makes of a map before it is resized: a map of s×s for each scale s."""
    scales = [modules_of_scale[0].output_size for modules_of_scale in modules]
    means = plan.store('pooled', (sum(s * s for s in scales), 1, source.shape[2]))
    working = source.shape[1] * source.shape[2] * torch.float64.itemsize
    strips = plan.strips(*source.shape[:2], source, working=working)

    def run(step: int) -> None:
        total = sum(_sums(source, strip, scales) for strip in strips)
        means.write(0, (total.cpu() / _counts(source, scales))[None, :, None])

    plan.add(means.name, 1, run, [source], [means])
    found, first = [], 0
    for scale, (_, module) in zip(scales, modules, strict=True):
        found.append(layer(_Bins(means, first, scale), module))
        first += scale * scale
    return found


class _Bins(Map):
    """The means of one scale, a map of s×s."""

    def __init__(self, means: StoredMap, first: int, scale: int) -> None:
        super().__init__((scale, scale, means.shape[2]), means.dtype, [means])
        self.first, self.scale = first, scale

    def rows(self, top: int, bottom: int) -> Tensor:
        first, last = (self.first + row * self.scale for row in (top, bottom))
        return self.sources[0].rows(first, last).unflatten(1, (-1, self.scale)).squeeze(3)


def _sums(source: Map, strip: tuple[int, int], scales: Sequence[int]) -> Tensor:
    """Of a strip, what it adds to each bin of adaptive average pooling: [bins, C], float64."""
    top, bottom = strip
    x_YXC = source.rows(top, bottom)[0].double()
    sums = []
    for scale in scales:
        for above, below in _borders(source.shape[0], scale):
            rows = x_YXC[max(above - top, 0) : max(below - top, 0)].sum(0)
            for left, right in _borders(source.shape[1], scale):
                sums.append(rows[left:right].sum(0))
    return torch.stack(sums)


def _counts(source: Map, scales: Sequence[int]) -> Tensor:
    """Positions in each bin, [bins, 1]."""
    counts = [
        (below - above) * (right - left)
        for scale in scales
        for above, below in _borders(source.shape[0], scale)
        for left, right in _borders(source.shape[1], scale)
    ]
    return torch.tensor(counts, dtype=torch.float64)[:, None]


def _borders(size: int, bins: int) -> list[tuple[int, int]]:
    """Where `torch.nn.AdaptiveAvgPool2d` begins and ends its bins; they may overlap."""
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]
