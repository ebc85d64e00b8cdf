"""Rows say which CPU they are of, and rows of two CPUs of one name stand side by side."""

import csv

import pytest
import torch
from torch import nn

from benchmarks import backbone, models, rows
from benchmarks import processor as described
from mmvig.ops import processor
from mmvig.ops.linear import Linear

EPYC = {'vendor_id': 'AuthenticAMD', 'cpu family': '26', 'model': '2'}
XEON = {'vendor_id': 'GenuineIntel', 'cpu family': '6', 'model': '143'}


@pytest.fixture
def pretend(monkeypatch):
    def be(fields: dict[str, str], avx512: bool = True) -> None:
        monkeypatch.setattr(processor, 'describe', lambda: fields)
        monkeypatch.setattr(processor, 'uses_avx512', lambda: avx512)
        described.describe_cpu.cache_clear()

    yield be
    described.describe_cpu.cache_clear()


@pytest.mark.parametrize(
    ('fields', 'cpu', 'vectors'),
    [
        (EPYC, 'AMD family 26 model 2', 'AVX512 at once'),
        (EPYC | {'cpu family': '25'}, 'AMD family 25 model 2', 'AVX512 in halves'),
        (XEON, 'Intel family 6 model 143', 'AVX512 at once'),
        ({}, '', 'AVX512'),
    ],
)
def test_names(fields, cpu, vectors, pretend):
    pretend(fields)
    found = described.describe_cpu()
    assert (found['cpu'], found['vectors']) == (cpu, vectors)


def test_rates_are_measured_once():
    found = described.describe_cpu()
    assert tuple(found) == described.COLUMNS
    assert all(found[name] > 0 for name in described.COLUMNS[2:])
    assert described.describe_cpu() is found
    assert set(described.describe_cpu('cuda').values()) == {''}


def test_two_cpus_of_one_name(monkeypatch, tmp_path, pretend):
    """Their rows and pictures are kept apart, also beside rows from before there were columns."""
    monkeypatch.setattr(backbone, 'BUILDERS', {'vig-nano': backbone.BUILDERS['vig-nano']})
    path = tmp_path / 'rows.csv'
    command = ['--csv', str(path), '--device', 'cpu', '--models', 'vig-nano', '--runs', '1',
               '--sizes', '32x32', '64x64', '--modes', 'forward']  # fmt: skip
    for fields in (EPYC, XEON):
        pretend(fields)
        backbone.main(command)
    found = rows.read(path)
    assert [row['cpu'] for row in found] == ['AMD family 26 model 2'] * 2 + [
        'Intel family 6 model 143'
    ] * 2
    backbone.main([*command, '--plot'])
    assert len(list(tmp_path.glob('rows-forward-float32-*.png'))) == 2
    old = [{k: v for k, v in row.items() if k not in described.COLUMNS} for row in found[:1]]
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(old[0]))
        writer.writeheader()
        writer.writerows(old)
    rows.merge(path, found[1:], backbone.KEY)
    assert [row['cpu'] for row in rows.read(path)] == ['', *(row['cpu'] for row in found[1:])]


def test_peers_with_our_linear_layers_compute_the_same():
    """Every linear layer is replaced, by one with the same weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 4, bias=False)))
    x = torch.randn(5, 8)
    expected = model(x)
    ours = models._with_our_linear(model)
    assert [type(m) is Linear for m in ours.modules() if isinstance(m, nn.Linear)] == [True, True]
    torch.testing.assert_close(ours(x), expected)
    assert models._with_our_linear(None) is None
    assert {'swin-t+onednn', 'convnext-t+onednn'} <= set(models.BUILDERS)


class Peer(nn.Module):
    """A backbone whose `train` returns nothing, as mmdet's Swin's does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def train(self, mode: bool = True) -> None:
        super().train(mode)

    def forward(self, x):
        return [self.conv(x)]


def test_ratios_are_to_swin(monkeypatch, tmp_path):
    builders = {'vig-nano': backbone.BUILDERS['vig-nano'], 'swin-t': Peer}
    monkeypatch.setattr(backbone, 'BUILDERS', builders)
    path = tmp_path / 'rows.csv'
    backbone.main(['--csv', str(path), '--device', 'cpu', '--runs', '1', '--sizes', '32x32',
                   '--models', 'vig-nano', 'swin-t', '--modes', 'forward'])  # fmt: skip
    ours, swin = rows.read(path)
    assert swin['vs_swin_t'] == '1.0'
    assert float(ours['vs_swin_t']) > 1
