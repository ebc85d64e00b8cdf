"""Training curves: what is read from logs written by hand and by a training, and TensorBoard."""

import json
import re
from pathlib import Path

import cv2
import pytest

from mmvig.visualization.training_curves import draw_curves, read_run


def write_log(work_dir: Path, date: str, lines: list[dict]) -> None:
    folder = work_dir / date / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))


def train_line(iteration: int, loss: float, **more) -> dict:
    return dict(lr=0.1, loss=loss, iter=iteration, step=iteration, **more)


@pytest.fixture
def det(tmp_path) -> Path:
    """Two epochs of ten iterations, then a resumed third."""
    lines = [train_line(i, 10 - i / 2, epoch=1 + (i > 10)) for i in (5, 10, 15, 20)]
    lines.insert(2, {'coco/bbox_mAP': 0.1, 'coco/bbox_mAP_50': 0.2, 'time': 1.0, 'step': 1})
    lines.append({'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.4, 'time': 1.0, 'step': 2})
    write_log(tmp_path / 'det', '20260101_000000', lines)
    lines = [train_line(i, 1, epoch=3) for i in (25, 30)]
    lines.append({'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_50': 0.6, 'time': 1.0, 'step': 3})
    write_log(tmp_path / 'det', '20260102_000000', lines)
    return tmp_path / 'det'


def values(points) -> list[tuple]:
    return [(p.step, p.value) for p in points]


def test_a_truncated_line_is_skipped(det):
    expected = read_run(det)
    (first, _) = sorted(det.glob('*/vis_data/scalars.json'))
    first.write_text(first.read_text() + '{"lr": 0.1, "loss": 0.')
    assert read_run(det) == expected


def test_resumed_training_continues_its_curve(det):
    run = read_run(det)
    assert values(run.training['loss']) == [
        (5, 7.5), (10, 5), (15, 2.5), (20, 0), (25, 1), (30, 1)
    ]  # fmt: skip
    assert values(run.metrics['coco/bbox_mAP']) == [(1, 0.1), (2, 0.3), (3, 0.5)]
    assert run.by_epoch


def test_restarted_training_replaces_the_first(det):
    write_log(det, '20260103_000000', [train_line(12, 9, epoch=2)])
    run = read_run(det)
    assert values(run.training['loss']) == [(5, 7.5), (10, 5), (12, 9)]
    assert values(run.metrics['coco/bbox_mAP']) == [(1, 0.1)]


def lines_of(axis) -> list[tuple]:
    return [(line.get_label(), line.get_xydata().tolist()) for line in axis.lines]


def test_panels_hold_the_logged_numbers(det, tmp_path):
    write_log(tmp_path / 'seg', 'd', [train_line(20, 3), {'mIoU': 50.0, 'mAcc': 60.0, 'step': 20}])
    figure = draw_curves({'a': read_run(det), 'b': read_run(tmp_path / 'seg')})
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert list(panels) == ['loss', 'learning rate', 'coco/bbox_mAP', 'mIoU']
    assert lines_of(panels['loss'])[1] == ('b', [[20, 3]])
    assert lines_of(panels['coco/bbox_mAP']) == [('a', [[1, 0.1], [2, 0.3], [3, 0.5]]), ('b', [])]
    labels = [axis.get_xlabel() for axis in panels.values()]
    assert labels == ['iteration', 'iteration', 'epoch', 'iteration']


def test_command_draws_what_is_asked_for(det, cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.output('plot', det, '--metrics', 'coco/bbox_mAP_50') == 'curves.png\n'
    assert cv2.imread('curves.png').shape[1] > 1000
    cli.output('plot', next(det.glob('*/*/scalars.json')), '--out', 'deep/one.svg')
    assert 'coco/bbox_mAP' in (tmp_path / 'deep/one.svg').read_text()


@pytest.mark.parametrize(
    ('message', 'args'),
    [
        ('expected the work dir of a training, .*empty has none', ['empty']),
        ('one JSON object a line, at text.json', ['text.json']),
        ('expected names of coco/bbox_mAP, .*got mIoU', ['det', '--metrics', 'mIoU']),
        ('expected --out to end in .png, .svg or .pdf, got a.gif', ['det', '--out', 'a.gif']),
    ],
)
def test_errors_say_what_to_do(message, args, det, cli, monkeypatch, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.json').write_text('3\n')
    monkeypatch.chdir(tmp_path)
    assert re.search(message, cli.user_error('plot', *args))


def test_tensorboard_option_logs_the_same_values(workspace, cli, monkeypatch):
    """A real training: TensorBoard and the curves read the same losses from it."""
    accumulators = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    monkeypatch.chdir(workspace)
    cli.output(
        'train', 'vig_upernet_mini', '--tensorboard', '--work-dir', 'boarded', '--cfg-options',
        'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=2',
        'val_dataloader.dataset.indices=2', 'default_hooks.logger.interval=1',
    )  # fmt: skip
    (events,) = workspace.glob('boarded/*/vis_data/events.out.tfevents.*')
    board = accumulators.EventAccumulator(str(events)).Reload()
    run = read_run(workspace / 'boarded')
    for name, points in (('loss', run.training['loss']), ('mIoU', run.metrics['mIoU'])):
        assert [event.value for event in board.Scalars(name)] == pytest.approx(
            [point.value for point in points], rel=1e-6
        )
    assert len(run.training['loss']) == 2
    assert not run.by_epoch


def test_missing_tensorboard_is_named(cli, monkeypatch, workspace):
    monkeypatch.chdir(workspace)
    monkeypatch.setattr('mmvig.cli.train.find_spec', lambda name: None)
    message = cli.user_error('train', 'vig_upernet_mini', '--tensorboard')
    assert 'pip install tensorboard' in message
