"""The comparison of runtimes: every runtime computes the same maps, and has its row."""

import csv

import pytest

pytest.importorskip('onnxscript')
pytest.importorskip('openvino')

from benchmarks import deployment
from mmvig.models.backbones import MultiScaleViG

pytestmark = pytest.mark.slow


def test_every_runtime_has_a_row(monkeypatch, tmp_path):
    tiny = dict(channels=[32] * 4, depths=[1] * 4, heads=[1] * 4, hidden=[32] * 4)
    monkeypatch.setattr(deployment, 'BUILDERS', {'vig-tiny': lambda: MultiScaleViG(tiny)})
    path = tmp_path / 'rows.csv'
    runtimes = [name for name in deployment.RUNTIMES if name != 'aotinductor']  # compiles for long
    deployment.main(
        ['--csv', str(path), '--sizes', '64x96', '65x33', '--runs', '1', '--models', 'vig-tiny']
        + ['--runtimes', *runtimes]
    )
    rows = list(csv.DictReader(path.open()))
    assert [row['runtime'] for row in rows] == runtimes * 2
    for row in rows:
        assert float(row['ms']) > 0
        is_lower_precision = 'int8' in row['runtime'] or 'bf16' in row['runtime']
        assert float(row['error']) < (3e-2 if is_lower_precision else 1e-5)  # seen: 8e-3, 8e-7


def test_torch_is_what_the_others_are_compared_with(tmp_path):
    with pytest.raises(SystemExit):
        deployment.main(['--csv', str(tmp_path / 'rows.csv'), '--runtimes', 'openvino portable'])
