"""The steps for one GPU: the plan, and processes that fail or hang."""

import json
import sys
import zipfile
from importlib import import_module

import pytest
import torch

from benchmarks.gpu_day import plan, processes
from tests.support.commands import ROOT
from tools import gpu_day

SHORTEST_CALL = 9  # minutes: calls of ten are usable, whatever starts them takes some of it


def test_every_step_fits_the_shortest_call():
    names = [step.name for step in plan.STEPS]
    assert len(set(names)) == len(names)
    assert names.index('correctness') < names.index('kernel-lengths'), 'no speed of wrong kernels'
    for step in plan.STEPS:
        assert step.minutes <= step.limit <= SHORTEST_CALL
    first, rest = plan.fit(plan.STEPS, SHORTEST_CALL, rehearse=False)
    assert [step.name for step in first[:2]] == names[:2]
    assert sum(step.minutes for step in first) <= SHORTEST_CALL
    assert {*first, *rest} == {*plan.STEPS}


@pytest.mark.parametrize('minutes', [0.4, 3, 8, 30, 1000])
def test_repeated_calls_run_everything_once(minutes):
    """As long as the longest step fits; with less, what fits runs and the rest is left."""
    results, calls = {}, 0
    while steps := plan.fit(plan.order(results), minutes, rehearse=False)[0]:
        assert sum(step.minutes for step in steps) <= minutes
        assert not results.keys() & {step.name for step in steps}
        results |= dict.fromkeys((step.name for step in steps), 'passed')
        calls += 1
    left = [step.minutes for step in plan.order(results)]
    assert all(needed > minutes for needed in left)
    assert calls == {0.4: 0, 1000: 1}.get(minutes, calls)


def test_order_of_a_second_call():
    results = dict.fromkeys((step.name for step in plan.STEPS), 'passed')
    results |= {'machine': 'out of time', 'profile': 'started', 'compile': 'failed'}
    del results['suite']
    assert [step.name for step in plan.order(results)] == ['suite', 'machine', 'profile']
    again = [step.name for step in plan.order(results, again=['compile'])]
    assert again == ['compile', 'suite', 'machine', 'profile']


def step(name: str, *arguments: str, **fields) -> plan.Step:
    return plan.Step(name, name, 0.01, 0.05, arguments, arguments, **fields)


STEPS = (
    step('hangs', 'timeit', '-n1', '-r1', 'import time; time.sleep(100)'),
    step('fails', 'no_such_module'),
    step('misses', 'this', needs=('json', 'no_such_package')),
    step('passes', 'this'),
)


@pytest.mark.slow
def test_a_failed_or_hanging_step_stops_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(plan, 'STEPS', STEPS)
    monkeypatch.setattr(plan, 'REHEARSAL_MINUTES', 0.01)
    argv = ['--out', str(tmp_path), '--minutes', '5', '--rehearse']
    with pytest.raises(SystemExit) as end:
        gpu_day.main(argv)
    assert end.value.code == 1
    results = processes.results(tmp_path)
    ended = {name: result['status'] for name, result in results.items()}
    assert ended == dict(hangs='out of time', fails='failed', misses='skipped', passes='passed')
    assert 'no_such_module' in results['fails']['detail']
    assert results['misses']['detail'] == 'not installed: no_such_package'
    assert 3 <= results['hangs']['seconds'] < 30
    assert 'left: hangs' in capsys.readouterr().out
    page = (tmp_path / 'report.md').read_text()
    assert 'A rehearsal' in page
    assert '| fails | failed |' in page
    names = zipfile.ZipFile(tmp_path / 'gpu_day.zip').namelist()
    assert {'report.md', 'step-passes.json', 'passes.log', 'hangs.log'} <= set(names)

    before = (tmp_path / 'step-passes.json').stat().st_mtime_ns
    with pytest.raises(SystemExit):
        gpu_day.main(argv)
    assert (tmp_path / 'step-passes.json').stat().st_mtime_ns == before, 'done is not done again'
    assert processes.results(tmp_path)['hangs']['status'] == 'out of time'
    with pytest.raises(SystemExit):
        gpu_day.main(['--out', str(tmp_path)])
    assert 'choose another --out' in capsys.readouterr().err


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


def test_without_a_gpu_nothing_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit, match='torch sees no GPU here; --rehearse'):
        gpu_day.main(['--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


def test_steps_that_do_not_fit_are_left(with_gpu, monkeypatch, tmp_path, capsys):
    long = step('long', 'this')._replace(minutes=3)
    monkeypatch.setattr(plan, 'STEPS', (long, step('short', 'this')))
    with pytest.raises(SystemExit) as end:
        gpu_day.main(['--out', str(tmp_path), '--minutes', '2'])
    assert end.value.code == 0
    assert list(processes.results(tmp_path)) == ['short']
    assert f'go on with `python tools/gpu_day.py --out {tmp_path}' in capsys.readouterr().out


def test_wheels_are_for_the_steps_alone(with_gpu, monkeypatch, tmp_path):
    wheels = tmp_path / 'wheels'
    wheels.mkdir()
    with zipfile.ZipFile(wheels / 'carried_along-1.0-py3-none-any.whl', 'w') as wheel:
        info = 'carried_along-1.0.dist-info'
        wheel.writestr('carried_along.py', 'print("carried")')
        wheel.writestr(
            f'{info}/METADATA', 'Metadata-Version: 2.1\nName: carried_along\nVersion: 1.0'
        )
        wheel.writestr(
            f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any'
        )
        wheel.writestr(f'{info}/RECORD', '')
    monkeypatch.setattr(
        plan, 'STEPS', (step('carried', 'carried_along', needs=('carried_along',)),)
    )
    with pytest.raises(SystemExit) as end:
        gpu_day.main(['--out', str(tmp_path / 'out'), '--wheels', str(wheels)])
    assert end.value.code == 0
    assert (tmp_path / 'out/carried.log').read_text() == 'carried\n'
    with pytest.raises(ModuleNotFoundError):
        import_module('carried_along')
    with pytest.raises(SystemExit, match='expects a folder with'):
        processes.install(tmp_path, tmp_path)


def test_suite_step_names_tests_that_exist(tmp_path):
    """In a process of its own, as every step runs."""
    (suite,) = (step for step in plan.STEPS if step.name == 'suite')
    result = processes.run(suite, tmp_path, 100, rehearse=True)
    assert result['status'] == 'passed', (tmp_path / 'suite.log').read_text()
    assert '1 passed' in (tmp_path / 'suite.log').read_text()
    assert json.loads((tmp_path / 'step-suite.json').read_text()) == result


def test_tool_runs_from_anywhere(tmp_path):
    done = processes.subprocess.run(
        [sys.executable, ROOT / 'tools/gpu_day.py', '--plan', '--minutes', '9', '--out', 'day'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 'machine: device, driver' in done.stdout
    assert 'then, in another call: ' in done.stdout
