"""The benchmark: it measures, keeps rows, draws, and reports nothing of a wrong provider."""

import csv
import sys
from pathlib import Path

import pytest
import torch

from .op_cases import inputs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import bench_kernel

    return bench_kernel


def run(bench, monkeypatch, *args) -> None:
    monkeypatch.setattr(sys, 'argv', ['tools/bench_kernel.py', *map(str, args)])
    bench.main()


def test_rows_and_plot(bench, monkeypatch, tmp_path):
    path = tmp_path / 'rows.csv'
    options = '--device', 'cpu', '--providers', 'chunked', 'sdpa', '--shapes', '--runs', 2
    for lengths in ((64, 128), (128,)):
        run(bench, monkeypatch, *options, '--csv', path, '--lengths', *lengths)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 2 * 2 * 2, 'a second measurement replaces the first'
    assert all(float(row['ms']) > 0 and row['commit'] and row['torch'] for row in rows)
    run(bench, monkeypatch, '--csv', path, '--plot')
    assert len(list(tmp_path.glob('rows-*.png'))) == 2


def test_a_wrong_provider_is_not_reported(bench, monkeypatch, tmp_path):
    wrong = {'chunked': lambda: lambda q, k, v, g_fwd, g_bwd: v * q.mean() * k.mean()}
    monkeypatch.setattr(bench, 'BUILDERS', wrong)
    path = tmp_path / 'rows.csv'
    with pytest.raises(SystemExit, match='chunked is wrong in forward'):
        run(
            bench, monkeypatch, '--device', 'cpu', '--providers', 'chunked', '--shapes',
            '--lengths', 64, '--csv', path,
        )  # fmt: skip
    assert not path.exists()


def test_the_token_loop_peer_computes_the_same(bench):
    import bench_providers

    from mmvig.kernels.reference import bi_gla_reference

    args = inputs(20, dtype=torch.float32, K=4, V=6)
    torch.testing.assert_close(
        bench_providers.token_loop(*args), bi_gla_reference(*args, 0.5), atol=2e-6, rtol=0
    )
