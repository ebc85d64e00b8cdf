"""What each step for one GPU writes and finds, and the report on it."""

import csv
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch

from benchmarks import backbone, kernel, rows
from benchmarks.gpu_day import calls, correctness, plan, report
from benchmarks.models import BUILDERS
from mmvig.kernels.shapes import Shape
from mmvig.kernels.triton import OPENS
from tests.support.interpreter import quick_interpreter

SLOW = ('mm-mini', 'mm-det', 'mm-seg', 'compile')


def read(path):
    return list(csv.DictReader(path.open(newline='')))


@pytest.fixture
def quick():
    with quick_interpreter():
        yield


def train_here(monkeypatch) -> None:
    """The training in this process, on a mini set of the images that it takes."""
    from benchmarks.gpu_day import mini_training
    from mmvig.datasets import shapes
    from tests.support.cli import run_in

    def run(command, cwd, check):
        assert command[:3] == [sys.executable, '-m', 'mmvig']
        assert check
        run_in(cwd, *command[3:])

    monkeypatch.setattr(mini_training, 'subprocess', SimpleNamespace(run=run))
    monkeypatch.setitem(shapes.SPLITS, 'train', ('training', 2, 0))
    monkeypatch.setitem(shapes.SPLITS, 'val', ('validation', 1, 1_000_000))


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
def test_a_rehearsed_step_writes_its_rows(name, rehearsed, quick, monkeypatch):
    if name == 'compile' and not hasattr(torch.compiler, 'is_exporting'):
        pytest.skip('the compiler of this torch takes no number of a loop as dynamic')
    if name == 'mm-mini':
        train_here(monkeypatch)
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
        expected = {'state', 'scan', 'output', 'gradients'}
        expected |= {'open_output', 'open_gradients'} if OPENS else set()
        assert {row['kernel'].removeprefix('bi_gla_kernel_') for row in found} == expected
    if name == 'compile':
        assert [float(row['error']) < 1e-4 for row in found if row['error']] == [True, True]
    assert report.write(out).count('\n## ') >= 1


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


def test_checks_of_long_tensors_at_short_ones(quick, monkeypatch):
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
