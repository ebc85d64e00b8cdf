"""The steps for one GPU: the plan, processes that fail or hang, and what each step writes."""

import csv
import json
import sys
import zipfile
from importlib import import_module

import pytest
import torch

from benchmarks import backbone, kernel, rows
from benchmarks.gpu_day import calls, correctness, plan, processes, report
from benchmarks.models import BUILDERS
from mmvig.kernels.shapes import Shape
from tests.support.commands import ROOT
from tools import gpu_day

SHORTEST_CALL = 9  # minutes: calls of ten are usable, whatever starts them takes some of it
SLOW = ('mm-mini', 'mm-det', 'mm-seg', 'compile')


def read(path):
    return list(csv.DictReader(path.open(newline='')))


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


@pytest.fixture(scope='module')
def rehearsed(tmp_path_factory):
    """Runs a step as a rehearsal does, in this process; the folder is shared."""
    out = tmp_path_factory.mktemp('rehearsal')

    def run(name: str):
        (chosen,) = (step for step in plan.STEPS if step.name == name)
        _, _, module, *arguments = chosen.command(out, rehearse=True)
        import_module(module).main(arguments)
        return out

    return run


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(step.name, marks=[pytest.mark.slow] if step.name in SLOW else [])
        for step in plan.STEPS
        if step.name != 'suite'
    ],
)
def test_a_rehearsed_step_writes_its_rows(name, rehearsed, monkeypatch):
    if name == 'compile' and not hasattr(torch.compiler, 'is_exporting'):
        pytest.skip('the compiler of this torch takes no number of a loop as dynamic')
    out = rehearsed(name)
    (chosen,) = (step for step in plan.STEPS if step.name == name)
    path = next(text for text in chosen.arguments if text.startswith('{out}')).format(out=out)
    found = rows.read(out / path)
    assert found
    assert all(row['torch'] == torch.__version__ and row['mmvig'] for row in found)
    if name == 'correctness':
        assert {row['result'] for row in found} == {'passed', 'left out'}
        judged = [row for row in found if row['check'] == 'against_float64']
        assert all(0 < float(row['of_budget']) < 1 for row in judged)
    if name == 'profile':
        assert len(found) == 4, 'state, scan, output, gradients'
    if name == 'compile':
        assert [float(row['error']) < 1e-4 for row in found if row['error']] == [True, True]
    assert report.write(out).count('\n## ') >= 1


def test_suite_step_names_tests_that_exist(tmp_path):
    """In a process of its own, as every step runs."""
    (suite,) = (step for step in plan.STEPS if step.name == 'suite')
    result = processes.run(suite, tmp_path, 100, rehearse=True)
    assert result['status'] == 'passed', (tmp_path / 'suite.log').read_text()
    assert '1 passed' in (tmp_path / 'suite.log').read_text()
    assert json.loads((tmp_path / 'step-suite.json').read_text()) == result


def test_wrong_kernels_are_found(monkeypatch):
    """What differs from the truth by a hundredth, or is not finite, is beyond the budget."""
    call = calls.Call(Shape(1, 20, 2, 8, 8), 'float32')
    honest = calls.run

    def with_error(error: float):
        def run(call, tensors, backend):
            found = honest(call, tensors, 'chunked')
            if backend == 'triton':
                found['dk'] = found['dk'] + error
            return found

        monkeypatch.setattr(calls, 'run', run)
        return calls.part_of_budget(call, 'cpu')

    assert with_error(0.0) < 1 < with_error(1e-2)
    assert with_error(float('nan')) == float('inf')


def test_checks_of_long_tensors_at_short_ones(monkeypatch):
    """Their logic, where the interpreter runs and memory is short."""
    monkeypatch.setattr(correctness, 'FAR', 2**12)
    monkeypatch.setattr(correctness, 'WINDOW', 8)
    monkeypatch.setattr(correctness, 'CONTEXT', 16)
    short = calls.Call(Shape(1, 9, 2, 4, 6), 'bfloat16', gates='mixed')
    assert correctness.sixty_four_bit_strides(short, 'cpu') == 0
    call = calls.Call(Shape(1, 40, 1, 4, 6), 'bfloat16', gates=-1.0)
    assert 0 < correctness.many_elements(call, 'cpu') < 1
    monkeypatch.setattr(correctness, 'CONTEXT', 0)  # what stands before the window is missed
    assert correctness.many_elements(call, 'cpu') > 1


@pytest.mark.parametrize('layout', calls.LAYOUTS)
def test_layouts_hold_the_same_shapes(layout):
    shape = Shape(2, 5, 3, 4, 6)
    tensors = calls.Call(shape, 'float16', gates='mixed', layout=layout).tensors('cpu')
    assert [tuple(x.shape) for x in tensors.values()] == [(2, 5, 3, D) for D in (4, 4, 6, 4, 4, 6)]
    assert all(x.is_contiguous() == (layout == 'plain') for x in tensors.values())
    assert {round(float(x), 4) for x in tensors['g_fwd'].flatten()} <= {-0.0001, -1, -30, -200}


def test_report_counts_what_misses_the_target(tmp_path):
    call = dict(dtype='bfloat16', B='1', H='3', K='16', V='32', device='NVIDIA H200')
    measured = [
        dict(provider='triton', mode='forward', T='65536', ms='0.1', of_copy='0.6', **call),
        dict(provider='triton', mode='forward+backward', T='65536', ms='1', of_copy='0.1', **call),
        dict(provider='triton', mode='forward', T='1024', ms='1', of_copy='0.01', **call),
        dict(provider='sdpa', mode='forward', T='65536', ms='5', of_copy='0.01', **call),
    ]
    shape = dict(height='1024', width='1024', vs_swin_t='', share_op='')
    pair = [
        dict(model=model, mode='forward', dtype='bfloat16', ms=ms, peak_mib=mib, **shape)
        for model, ms, mib in (('vig-plain-tiny', '5', '20'), ('deit-t', '20', '100'))
    ]
    for name, table in (('kernel', measured), ('backbone', pair)):
        with (tmp_path / f'{name}.csv').open('w', newline='') as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    page = report.write(tmp_path)
    assert '1 of 2 calls within 2× (forward) and 3× (with backward)' in page
    forward = next(line for line in page.splitlines() if 'forward | bfloat16 | 1 | 65536' in line)
    *_, ms, predicted, over_bytes, sdpa = forward.strip('| ').split(' | ')
    assert (ms, over_bytes, sdpa) == ('0.1', '1.67', '50.00')
    assert float(predicted) > 0
    assert 'ms: 0.250 of DeiT-T; the paper says 0.208' in page
    assert 'peak_mib: 0.200 of DeiT-T; the paper says 0.100' in page


def test_a_wrong_peer_is_left_out(monkeypatch, tmp_path, capsys):
    wrong = lambda q, k, v, g_fwd, g_bwd: v * q.mean() * k.mean()  # noqa: E731
    monkeypatch.setitem(kernel.BUILDERS, 'sdpa', lambda: wrong)
    monkeypatch.setattr(kernel, 'OTHER_FUNCTION', ())
    path = tmp_path / 'rows.csv'
    with pytest.raises(SystemExit, match='left out in forward: sdpa: sdpa is wrong'):
        kernel.main(['--csv', str(path), '--device', 'cpu', '--providers', 'sdpa', 'chunked',
                     '--shapes', '--lengths', '16', '--runs', '1', '--keep-going'])  # fmt: skip
    assert [row['provider'] for row in read(path)] == ['chunked', 'chunked']


def test_a_model_too_large_for_the_gpu_has_no_row(capsys):
    def too_large() -> None:
        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB.')

    assert backbone.fits('small', lambda: None)
    assert not backbone.fits('large', too_large)
    assert 'left out: large: CUDA out of memory' in capsys.readouterr().err


def test_torchvision_s_swin_has_the_maps_of_a_backbone():
    maps = BUILDERS['swin-t-torchvision']()(torch.randn(1, 3, 96, 64))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (96 << i, 96 >> i + 2, 64 >> i + 2) for i in range(4)
    ]


def test_commit_without_git(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert rows.commit() == ''
    monkeypatch.setenv('MMVIG_COMMIT', 'abc1234')
    assert rows.commit() == 'abc1234'


def test_tool_runs_from_anywhere(tmp_path):
    done = processes.subprocess.run(
        [sys.executable, ROOT / 'tools/gpu_day.py', '--plan', '--minutes', '9', '--out', 'day'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 'machine: device, driver' in done.stdout
    assert 'then, in another call: ' in done.stdout
