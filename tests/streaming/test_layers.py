"""Layers on rows have the numbers that torch gives on the whole map."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmvig.models.layers.conv import ChannelsLast, ConvNorm
from mmvig.streaming import StreamingError
from mmvig.streaming.convolution import layer
from mmvig.streaming.maps import Map, Sum
from mmvig.streaming.plan import Plan
from mmvig.streaming.resizing import Bilinear, Nearest
from mmvig.streaming.upernet import pooled_maps

SHAPES = [(1, 1), (2, 5), (19, 1), (13, 8)]


class Given(Map):
    """A map in memory that refuses to be read beyond its rows."""

    def __init__(self, x_BYXC: Tensor) -> None:
        super().__init__(x_BYXC.shape[1:], x_BYXC.dtype)
        self.x_BYXC = x_BYXC

    def rows(self, top: int, bottom: int) -> Tensor:
        assert 0 <= top < bottom <= self.shape[0]
        return self.x_BYXC[:, top:bottom]


def given(rows: int, columns: int, channels: int = 4, dtype=torch.float64) -> Given:
    return Given(torch.randn(1, rows, columns, channels, dtype=dtype))


def whole(source: Given, module: nn.Module) -> Tensor:
    return ChannelsLast(module.double())(source.x_BYXC).detach()


def check(found: Map, expected_BYXC: Tensor, atol: float = 1e-12) -> None:
    """Read at once, row by row downwards and upwards, and in windows that overlap or leave gaps."""
    assert found.shape == expected_BYXC.shape[1:]
    Y = found.shape[0]
    rows = [(y, y + 1) for y in range(Y)]
    windows = [(max(y - 2, 0), min(y + 2, Y)) for y in range(0, Y, 3)]
    pairs = [(0, Y // 3 + 1), (Y // 2, Y), (Y // 3, Y)]
    for top, bottom in [(0, Y), *rows, *rows[::-1], *windows, *pairs]:
        with torch.inference_mode():
            part = found.rows(top, bottom)
        torch.testing.assert_close(part, expected_BYXC[:, top:bottom], rtol=0, atol=atol)


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize(
    'options',
    [
        dict(kernel_size=3, padding=1),
        dict(kernel_size=3, padding=1, stride=2),
        dict(kernel_size=3, padding=2, dilation=2),
        dict(kernel_size=5, padding=2, stride=3, groups=2),
        dict(kernel_size=1),
        dict(kernel_size=1, stride=2),
        dict(kernel_size=(1, 3), padding=(0, 1)),
    ],
    ids=str,
)
def test_convolutions(shape, options):
    source, conv = given(*shape), nn.Conv2d(4, 6, **options)
    check(layer(source, conv), whole(source, conv))


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize(
    'module',
    [
        ConvModule(4, 4, 3, padding=1, norm_cfg=dict(type='BN')).eval(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(1, stride=2),
        nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.ConvTranspose2d(4, 3, 3, stride=3),
        nn.Sequential(nn.GELU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_other_layers(shape, module):
    source = given(*shape)
    expected = whole(source, module)
    if not isinstance(module, nn.Sequential | ConvModule):
        module = ChannelsLast(module)
    check(layer(source, module), expected)


def test_the_pooling_that_cuts_off_an_odd_row():
    source = given(13, 8)
    check(layer(source, ChannelsLast(nn.MaxPool2d(2))), whole(source, nn.MaxPool2d(2)))


def test_a_step_down_with_its_norm():
    source, module = given(13, 8), ConvNorm(4, 6).double()
    check(layer(source, module), module(source.x_BYXC).detach())


def test_weights_are_shared_and_the_module_stays_as_it_was():
    conv = nn.Conv2d(4, 4, 3, padding=1).double()
    source = given(5, 5)
    found = layer(source, conv)
    with torch.no_grad():
        conv.weight.mul_(2)
    assert conv.padding == (1, 1)
    check(found, whole(source, conv))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('mode', ['bilinear', 'aligned', 'nearest'])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_interpolation(shape, mode, dtype):
    """Also to sizes that are no multiples, and smaller ones."""
    source = given(*shape, dtype=dtype)
    for size in [(1, 1), shape, (2 * shape[0], 2 * shape[1]), (37, 29), (7, 3)]:
        options = dict(mode='nearest')
        if mode != 'nearest':
            options = dict(mode='bilinear', align_corners=mode == 'aligned')
        expected = F.interpolate(source.x_BYXC.permute(0, 3, 1, 2), size, **options)
        found = Nearest(source, size)
        if mode != 'nearest':
            found = Bilinear(source, size, options['align_corners'])
        check(found, expected.permute(0, 2, 3, 1), atol=1e-12 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize('shape', [*SHAPES, (30, 47)], ids=str)
@pytest.mark.parametrize('strip_rows', [1, 4, None])
def test_adaptive_pooling_by_sums(shape, strip_rows, tmp_path):
    from mmvig.streaming import Workspace

    scales = (1, 2, 3, 6)
    source = given(*shape)
    modules = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(s), nn.Identity()) for s in scales)
    plan = Plan(torch.zeros(1, dtype=torch.float64), strip_rows)
    plan.outputs = pooled_maps(plan, modules, source)
    with Workspace() as workspace:
        workspace.run(plan)
        for found, scale in zip(plan.outputs, scales, strict=True):
            check(found, whole(source, nn.AdaptiveAvgPool2d(scale)))


def test_sums_in_float64_count_as_memory():
    from mmvig.streaming import Workspace

    class Read(Given):
        most = 0

        def rows(self, top: int, bottom: int) -> Tensor:
            Read.most = max(Read.most, bottom - top)
            return super().rows(top, bottom)

    source = Read(torch.randn(1, 64, 8, 4))
    bytes_of_a_row = 8 * 4 * (4 + 8)
    modules = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Identity())])
    plan = Plan(torch.zeros(1), memory_bytes=20 * bytes_of_a_row)
    pooled_maps(plan, modules, source)
    with Workspace() as workspace:
        workspace.run(plan)
    assert 10 < Read.most <= 20


class Counting(nn.Conv2d):
    """Counts the rows that it has computed."""

    count = 0

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        Counting.count += y.shape[2]
        return y


@pytest.fixture
def counted() -> Map:
    Counting.count = 0
    return layer(given(64, 4), Counting(4, 4, 3, padding=1).double())


def test_a_row_is_computed_once_from_the_top_to_the_bottom(counted):
    """Where strips overlap, and where a map is read on two ways."""
    conv = nn.Conv2d(4, 4, 3, padding=1).double()
    ways = Bilinear(counted, (256, 16), False), Bilinear(layer(counted, conv), (256, 16), False)
    both = layer(Sum(*ways), conv)
    for top, bottom in pairwise(range(0, 257, 8)):
        with torch.inference_mode():
            both.rows(top, bottom)
    assert Counting.count == 64


def test_a_second_reader_may_lag(counted):
    readers = Sum(counted, counted)
    assert readers.sources[0].readers == 2
    for top in range(0, 56, 8):
        counted.rows(top, top + 6)
        counted.rows(top + 4, top + 12)
        counted.rows(top + 1, top + 9)
    assert Counting.count == 60


def test_what_is_forgotten_is_computed_again(counted):
    expected = counted.rows(0, 8)
    counted.forget()
    torch.testing.assert_close(counted.rows(0, 8), expected, rtol=0, atol=0)
    assert Counting.count == 16


@pytest.mark.parametrize(
    ('module', 'word'),
    [
        (nn.GroupNorm(2, 4), 'GroupNorm'),
        (nn.BatchNorm2d(4), 'BatchNorm2d'),
        (nn.InstanceNorm2d(4), 'InstanceNorm2d'),
        (nn.AdaptiveAvgPool2d(2), 'AdaptiveAvgPool2d'),
        (ChannelsLast(nn.MaxPool2d(3, stride=2)), 'do not overlap'),
        (ChannelsLast(nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1)), 'do not overlap'),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect'), 'padded with zeros'),
        (ConvModule(4, 4, 3, padding=1, padding_mode='reflect'), 'padded with zeros'),
        (ConvModule(4, 4, 3, order=('norm', 'conv', 'act')), 'one convolution'),
        (ConvModule(4, 4, 3, padding=1, norm_cfg=dict(type='GN', num_groups=2)), 'GroupNorm'),
    ],
    ids=lambda part: part if isinstance(part, str) else '',
)
def test_what_sees_more_than_its_neighbours_is_refused(module, word):
    with pytest.raises(StreamingError, match=word):
        layer(given(8, 8), module)
