"""The benchmark: it measures, keeps rows, draws, and reports nothing of a wrong provider."""

import csv
import json
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


def test_training_rows(monkeypatch, tmp_path):
    """A step's parts are all measured, for both backbones, and each has its trace."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import bench_training

    from mmvig.backbones import MultiScaleViG

    monkeypatch.setattr(bench_training, 'CONFIGS', {'det': 'vig_maskrcnn_mini'})
    builders = dict.fromkeys(bench_training.MODELS_COMPARED, lambda: MultiScaleViG('nano'))
    monkeypatch.setattr(bench_training, 'BUILDERS', builders)
    path, traces = tmp_path / 'rows.csv', tmp_path / 'traces'
    run(bench_training, monkeypatch, 'det', '--device', 'cpu', '--runs', 1, '--csv', path,
        '--trace', traces)  # fmt: skip
    rows = list(csv.DictReader(path.open()))
    assert [row['model'] for row in rows] == ['vig-tiny', 'swin-t']
    for row in rows:
        parts = [float(row[part]) for part in bench_training.PARTS]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(float(row['ms']), abs=1)
        assert json.loads((traces / f'det-{row["model"]}.json').read_text())['traceEvents']
