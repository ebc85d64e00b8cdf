"""The benchmarks measure, keep rows and draw, and report nothing of a wrong provider."""

import csv
import json

import pytest
import torch

from benchmarks import implementations, kernel, training
from mmvig.kernels.reference import bi_gla_reference
from mmvig.models.backbones import MultiScaleViG
from tests.support.op_cases import inputs


def run(program, *args) -> None:
    program.main([str(arg) for arg in args])


def test_rows_and_plot(tmp_path):
    path = tmp_path / 'rows.csv'
    options = '--device', 'cpu', '--providers', 'chunked', 'sdpa', '--shapes', '--runs', 2
    for lengths in ((64, 128), (128,)):
        run(kernel, *options, '--csv', path, '--lengths', *lengths)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 2 * 2 * 2, 'a second measurement replaces the first'
    assert all(float(row['ms']) > 0 and row['commit'] and row['torch'] for row in rows)
    run(kernel, '--csv', path, '--plot')
    assert len(list(tmp_path.glob('rows-*.png'))) == 2


def test_a_wrong_provider_is_not_reported(monkeypatch, tmp_path):
    wrong = {'chunked': lambda: lambda q, k, v, g_fwd, g_bwd: v * q.mean() * k.mean()}
    monkeypatch.setattr(kernel, 'BUILDERS', wrong)
    path = tmp_path / 'rows.csv'
    with pytest.raises(SystemExit, match='chunked is wrong in forward'):
        run(
            kernel, '--device', 'cpu', '--providers', 'chunked', '--shapes',
            '--lengths', 64, '--csv', path,
        )  # fmt: skip
    assert not path.exists()


def test_the_token_loop_peer_computes_the_same():
    args = inputs(20, dtype=torch.float32, K=4, V=6)
    torch.testing.assert_close(
        implementations.token_loop(*args), bi_gla_reference(*args, 0.5), atol=2e-6, rtol=0
    )


@pytest.mark.slow
def test_training_rows(monkeypatch, tmp_path):
    """All parts of a step are measured, for both backbones, and each has its trace."""
    monkeypatch.setattr(training, 'CONFIGS', {'det': 'vig_maskrcnn_mini'})
    builders = dict.fromkeys(training.MODELS_COMPARED, lambda: MultiScaleViG('nano'))
    monkeypatch.setattr(training, 'BUILDERS', builders)
    path, traces = tmp_path / 'rows.csv', tmp_path / 'traces'
    run(training, 'det', '--device', 'cpu', '--runs', 1, '--csv', path,
        '--trace', traces)  # fmt: skip
    rows = list(csv.DictReader(path.open()))
    assert [row['model'] for row in rows] == ['vig-tiny', 'swin-t']
    for row in rows:
        parts = [float(row[part]) for part in training.PARTS]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(float(row['ms']), abs=1)
        assert json.loads((traces / f'det-{row["model"]}.json').read_text())['traceEvents']
