"""The comparison on real images: drawn stand-ins, trainings of a few steps in this process."""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from mmengine.runner import Runner
from yapf.yapflib import yapf_api

from benchmarks import real_images, real_picture, real_report, real_training
from benchmarks.real_images import Job
from mmvig.engine.resume.checkpoint_hook import _ResumedIterator
from tests.support.cli import forget_runs, unformatted
from tests.support.real_sets import write_sets


class Stop(BaseException):
    """In place of a signal."""


class Clock:
    """Every look at it takes a second; every evaluation, and passing over batches, a hundred."""

    now = 0.0

    def process_time(self) -> float:
        self.now += 1
        return self.now


class Training:
    """In place of the process of a training: it runs in this one."""

    started: list[list[str]] = []  # noqa: RUF012
    returncode = 0

    def __init__(self, job: Job, work_dir: Path) -> None:
        words = real_images.arguments(job, work_dir)
        self.started.append(words)
        forget_runs()
        real_training.main(words)

    def poll(self) -> int:
        return self.returncode


class FailedTraining(Training):
    returncode = 1

    def __init__(self, job: Job, work_dir: Path) -> None:
        work_dir.mkdir(parents=True)


def stop_before(iteration: int, patch: pytest.MonkeyPatch) -> None:
    def call_hook(self, name: str, **values) -> None:
        if (name, self.iter) == ('before_train_iter', iteration):
            raise Stop
        original(self, name, **values)

    original = Runner.call_hook
    patch.setattr(Runner, 'call_hook', call_hook)


def run(*words: str) -> None:
    real_images.main([*words, '--sets', 'bccd', '--backbones', 'vig', '--seeds', '0',
                      '--iterations', '4', '--csv', 'rows.csv', '--work', 'work'])  # fmt: skip


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A search, and a training of ViG nano that was stopped and went on."""
    folder = tmp_path_factory.mktemp('real')
    clock = Clock()

    def before_val_epoch(self, runner) -> None:
        clock.now += 100

    def skip_iter(self, number: int) -> None:
        clock.now += 100
        original_skip(self, number)

    original_skip = _ResumedIterator.skip_iter
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('MMVIG_REAL_DATA', str(write_sets(folder / 'sets')))
        patch.setattr(sys, 'argv', ['real_images'])  # what rows keep as their command
        patch.setattr(yapf_api, 'FormatCode', unformatted)
        patch.setattr(real_images, 'start', Training)
        patch.setattr(real_images, 'EVALUATIONS', 2)
        patch.setattr(real_training, 'time', clock)
        patch.setattr(real_training, 'describe_cpu', lambda: dict(cpu='any'))
        patch.setattr(
            real_training.TrainingSecondsHook, 'before_val_epoch', before_val_epoch, raising=False
        )
        patch.setattr(_ResumedIterator, 'skip_iter', skip_iter)
        run('search', '--rates', '1e-4', '1e-3')
        with pytest.MonkeyPatch.context() as stopping:
            stop_before(3, stopping)
            with pytest.raises(Stop):
                run('iterations')
        assert not list(folder.glob('work/bccd/vig/iterations*/measured.json'))
        run('iterations')
        yield SimpleNamespace(folder=folder, rows=rows_of(folder), started=Training.started)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / 'rows.csv').open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_rows_of_a_training_that_was_stopped(trained):
    """Only steps count, each once: neither evaluations nor what was lost at the stop."""
    found = [row for row in trained.rows if row['kind'] == 'iterations']
    assert [(row['iteration'], row['iterations']) for row in found] == [('2', '4'), ('4', '4')]
    for row in found:
        assert float(row['cpu_seconds']) == int(row['iteration'])
        assert 0 <= float(row['bbox_mAP']) <= 1
        assert row['segm_mAP'] == ''
        assert row['config'] == 'real/bccd_retinanet'
        assert row['backbone_parameters'] == '1694176'
        assert row['commit']
        assert row['device']


@pytest.mark.slow
def test_the_rate_is_the_best_of_the_search(trained):
    found = [row for row in trained.rows if row['kind'] == 'search']
    assert [row['rate'] for row in found] == ['0.0001', '0.001']
    best = max(found, key=lambda row: float(row['bbox_mAP']))['rate']
    assert f'best {best} (at the end of those tried)' in real_report.rates(trained.rows)
    assert trained.started[-1][trained.started[-1].index('--rate') + 1] == best


@pytest.mark.slow
def test_nothing_is_trained_twice(trained, capsys):
    before = len(trained.started)
    run('iterations')
    assert len(trained.started) == before
    out = capsys.readouterr().out
    assert 'iterations: 0 of 1 trainings are missing' in out
    assert '| vig | 1.69 M | 1.00 |' in out
    assert (trained.folder / 'rows_bccd.png').is_file()


@pytest.mark.slow
def test_a_failed_training_is_told_at_the_end(trained, monkeypatch, capsys):
    monkeypatch.setattr(real_images, 'start', FailedTraining)
    with pytest.raises(SystemExit, match='1 trainings failed'):
        run('iterations', '--rates', '0.5')
    assert 'bccd vig: failed, see ' in capsys.readouterr().out
    assert rows_of(trained.folder) == trained.rows


@pytest.mark.slow
def test_truth_beside_prediction(trained):
    """Checkpoints are kept of the trainings that pictures are drawn of."""
    assert not list(trained.folder.glob('work/bccd/vig/search*/*.pth'))
    (measured,) = trained.folder.glob('work/bccd/vig/iterations*/measured.json')
    config = str(measured.parent / 'training.py')
    checkpoint = (measured.parent / 'last_checkpoint').read_text().strip()
    sheet = trained.folder / 'shown/sheet.jpg'
    real_picture.main([config, checkpoint, '--images', '0', '1', '--out', str(sheet)])
    assert cv2.imread(str(sheet)).shape[1] == 4 * (480 + 6)


def row(kind: str, backbone: str, seconds: float, seed: int = 0, ap: float = 0.4, **more) -> dict:
    """A row at the end of a training of 100 steps."""
    values = dict(kind=kind, set='nuclei', backbone=backbone, seed=seed, rate=5e-4, iterations=100,
                  iteration=100, cpu_seconds=seconds, bbox_mAP=ap, segm_mAP=ap + 0.1,
                  backbone_parameters=1_700_000, device='one', cpu='a')  # fmt: skip
    return {name: str(value) for name, value in (values | more).items()}


def planned(rows: list[dict], *words: str, monkeypatch) -> list[Job]:
    monkeypatch.setattr(real_images, 'read_rows', lambda path: rows)
    args = real_images.parse_args(['time', '--sets', 'nuclei', '--iterations', '650', *words])
    return list(real_images.plan('time', args))


def test_equal_time_follows_the_seconds_of_the_search(monkeypatch):
    rows = [row('search', 'vig', 90), row('search', 'swin', 60, ap=0.1, rate=1e-3),
            row('search', 'swin', 60)]  # fmt: skip
    jobs = planned(rows, '--backbones', 'vig', 'swin', monkeypatch=monkeypatch)
    assert [job.seed for job in jobs] == [0, 1, 2]
    assert {job.backbone for job in jobs} == {'swin'}
    assert {(job.iterations, job.rate) for job in jobs} == {(975, 5e-4)}


def test_a_peer_of_equal_cost_has_no_training_of_equal_time(monkeypatch):
    """The table shows its trainings of equal iterations in their place."""
    rows = [row('search', 'vig', 90), row('search', 'swin', 93), row('search', 'convnext', 99)]
    words = ('--backbones', 'swin', 'convnext')
    assert {job.backbone for job in planned(rows, *words, monkeypatch=monkeypatch)} == {'convnext'}
    rows += [row('iterations', name, 90, ap=0.3) for name in ('vig', 'swin', 'convnext')]
    _, swin, convnext = real_report.table(rows).splitlines()[-5:-2]
    assert swin.endswith('| 1 | 1.5 | 0.300 | 0.400 | 100 | 1.5 | 0.300 | 0.400 |')
    assert convnext.endswith('| – | – | – | – |')


def test_hours_of_what_is_missing():
    rows = [row('search', 'vig', 3600), row('search', 'swin', 1800)]
    lengths = [('nuclei', 'vig', 100), ('nuclei', 'swin', 100), ('nuclei', 'vir', 200)]
    assert 'about 3.0 CPU hours' in real_report.hours(lengths, rows)  # 1 + 0.5 + 2 · 0.75
    assert real_report.hours([('bccd', 'vig', 100)], rows) == ''
    assert real_report.hours([], rows) == ''


def test_a_search_evaluates_on_a_part_of_the_images(trained):
    (search,) = trained.folder.glob('work/bccd/vig/search*_0.001_*')
    content = json.loads((search / 'validation.json').read_text())
    assert [entry['id'] for entry in content['images']] == [1]
    assert {entry['image_id'] for entry in content['annotations']} == {1}
    assert not list(trained.folder.glob('work/bccd/vig/iterations*/validation.json'))


def test_without_a_search_equal_time_follows_equal_iterations(monkeypatch):
    rows = [row('iterations', 'vig', 90), row('iterations', 'swin', 180)]
    words = ('--backbones', 'swin', '--seeds', '7', '--rates', '1e-3')
    (job,) = planned(rows, *words, monkeypatch=monkeypatch)
    assert job == Job('time', 'nuclei', 'swin', 7, 1e-3, 325)


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ([row('search', 'vig', 9)], 'expected rows of a search for swin on nuclei'),
        (
            [row('search', 'vig', 9), row('search', 'swin', 9, cpu='b')],
            'from one machine, the rows are from one .a. and one .b.',
        ),
    ],
)
def test_equal_time_needs_a_search_on_one_machine(rows, message, monkeypatch):
    with pytest.raises(SystemExit, match=message):
        planned(rows, '--backbones', 'swin', monkeypatch=monkeypatch)


def test_the_table_tells_means_and_spreads():
    equal = [row('iterations', name, 120, seed, 0.4 + 0.01 * seed) for name in ('vig', 'swin')
             for seed in range(3)]  # fmt: skip
    timed = [row('time', 'swin', 180, seed, 0.5, iterations=150, iteration=150) for seed in (0, 1)]
    lines = real_report.table(equal + timed).splitlines()
    assert 'nuclei, 100 iterations' in lines
    aps = '0.410 ± 0.010 | 0.510 ± 0.010'
    vig = f'| vig | 1.70 M | 1.20 | 0.0005 | 3 | 2.0 ± 0.0 | {aps} | 100 | 2.0 ± 0.0 | {aps} |'
    swin = f'| swin | 1.70 M | 1.20 | 0.0005 | 3 | 2.0 ± 0.0 | {aps} | 150 | 3.0 | 0.500 | 0.600 |'
    assert {vig, swin} <= set(lines)
