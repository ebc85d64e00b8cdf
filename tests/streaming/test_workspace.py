"""Runs that are stopped go on, take the space that was said, and leave nothing behind."""

import gc
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch

from mmvig.streaming import (
    ArrayRows,
    ArraySink,
    ForeignJournalError,
    Workspace,
    plan_segmentation,
    stream_segmentation,
)

from .models import PLAIN, PYRAMID, VIR, by_strips, draw, segmentor

IMAGE = draw(97, 70)


class StoppedError(RuntimeError):
    """Stands for a run that fails."""


def workspace(folder, **options) -> Workspace:
    return Workspace(folder, **{'resume': True, 'ram_bytes': 0, 'seconds': 0, **options})


def stop_at(step: int):
    """A progress callback that ends the run after so many steps."""
    seen = []

    def on_progress(fraction: float) -> None:
        seen.append(fraction)
        if len(seen) == step:
            raise StoppedError

    return on_progress


@pytest.fixture(scope='module')
def model():
    return segmentor()


@pytest.fixture(scope='module')
def expected(model) -> np.ndarray:
    return by_strips(model, ArrayRows(IMAGE), Workspace(), strip_rows=8)


def test_a_run_stopped_after_any_step_goes_on(model, expected, tmp_path):
    """Again and again, with a sink that has lost what it was given."""
    plan = plan_segmentation(model, ArrayRows(IMAGE), ArraySink(), strip_rows=8)
    steps = sum(one.steps for one in plan.passes[:-1])  # the last one only hands labels out
    for _ in range(steps // 3):
        with pytest.raises(StoppedError):
            by_strips(
                model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=stop_at(3)
            )
    fractions = []
    found = by_strips(
        model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=fractions.append
    )
    assert steps > 30
    assert len(fractions) <= 3 + plan.passes[-1].steps
    assert np.array_equal(found, expected)
    assert not list(tmp_path.iterdir())


def test_a_sink_is_given_all_labels_again(model, expected, tmp_path):
    """Where a run ended while it handed them out; and what earlier passes left is removed."""
    plan = plan_segmentation(model, ArrayRows(IMAGE), ArraySink(), strip_rows=8)
    last = sum(one.steps for one in plan.passes) - 2
    with pytest.raises(StoppedError):
        by_strips(
            model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=stop_at(last)
        )
    (tmp_path / 'stem.mmvig-map').write_bytes(b'left over')
    seen = []
    found = by_strips(
        model,
        ArrayRows(IMAGE),
        workspace(tmp_path),
        strip_rows=8,
        on_progress=lambda _: seen.append(sorted(path.name for path in tmp_path.glob('*-map'))),
    )
    assert np.array_equal(found, expected)
    assert seen == [['labels.mmvig-map']] * plan.passes[-1].steps


def test_labels_lost_after_the_last_step_are_handed_out_again(model, expected, tmp_path):
    def lose() -> None:
        with workspace(tmp_path) as opened:
            image, lost = ArrayRows(IMAGE), ArraySink()
            stream_segmentation(model, image, lost, opened, strip_rows=8, channel_order='bgr')
            raise StoppedError

    with pytest.raises(StoppedError):
        lose()
    steps = []
    found = by_strips(
        model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=steps.append
    )
    assert np.array_equal(found, expected)
    plan = plan_segmentation(model, ArrayRows(IMAGE), ArraySink(), strip_rows=8)
    assert len(steps) == plan.passes[-1].steps


@pytest.mark.parametrize('backbone', [PLAIN, VIR], ids=['plain', 'vir'])
def test_states_and_the_class_token_outlive_a_kill(backbone, tmp_path):
    model = segmentor(backbone, neck=PYRAMID, widths=(8,) * 4)
    expected = by_strips(model, ArrayRows(IMAGE), Workspace(), strip_rows=2)
    for step in (5, 9, 13, 17):
        with pytest.raises(StoppedError):
            by_strips(
                model,
                ArrayRows(IMAGE),
                workspace(tmp_path),
                strip_rows=2,
                on_progress=stop_at(step),
            )
    found = by_strips(model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=2)
    assert np.array_equal(found, expected)


def test_files_of_a_run_that_is_not_to_go_on_have_no_names(model, tmp_path):
    """So they are gone however its process ends."""
    seen = []
    space = workspace(tmp_path, resume=False)
    by_strips(
        model, ArrayRows(IMAGE), space, on_progress=lambda _: seen.extend(os.listdir(tmp_path))
    )
    assert seen == []


def test_files_of_another_run_are_refused(model, expected, tmp_path):
    other_weights = segmentor()
    with torch.no_grad():
        next(other_weights.parameters()).add_(1)
    other_setting = segmentor()
    other_setting.backbone.stages[3].blocks[0].norm1.eps = 1e-3
    other_image = IMAGE.copy()
    other_image[0] += 1
    runs = {
        'weights': (other_weights, IMAGE, {}),
        'setting': (other_setting, IMAGE, {}),
        'image': (model, other_image, {}),
        'size': (model, IMAGE[1:], {}),
        'strips': (model, IMAGE, {'strip_rows': 9}),
        'order': (model, IMAGE, {'channel_order': 'rgb'}),
    }
    with pytest.raises(StoppedError):
        by_strips(
            model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=stop_at(9)
        )
    for other, image, options in runs.values():
        with pytest.raises(ForeignJournalError, match=r'another model, image or setting; go on'):
            by_strips(other, ArrayRows(image), workspace(tmp_path), **{'strip_rows': 8, **options})
    (tmp_path / 'mmvig-journal.json').rename(tmp_path / 'kept')
    (tmp_path / 'mmvig-journal.json').write_text('{"pass": 3')
    with pytest.raises(ForeignJournalError):
        by_strips(model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8)
    (tmp_path / 'kept').rename(tmp_path / 'mmvig-journal.json')
    found = by_strips(model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8)
    assert np.array_equal(found, expected)


def test_two_processes_do_not_share_a_folder(model, tmp_path):
    def on_progress(fraction: float) -> None:
        by_strips(model, ArrayRows(IMAGE), workspace(tmp_path))

    with pytest.raises(ForeignJournalError, match='another process works there'):
        by_strips(model, ArrayRows(IMAGE), workspace(tmp_path), on_progress=on_progress)


def test_the_space_that_is_said_is_the_space_that_is_taken(model, tmp_path):
    sinks = ArraySink(), ArraySink()
    plan = plan_segmentation(model, ArrayRows(IMAGE), *sinks, strip_rows=8)
    taken = []

    def on_progress(fraction: float) -> None:
        taken.append(sum(path.stat().st_size for path in tmp_path.glob('*.mmvig-map')))

    with workspace(tmp_path) as space:
        space.run(plan, on_progress)
    assert max(taken) == plan.needed_bytes
    first = plan.stored(0)[0].size
    assert plan.needed_bytes < 4 * first  # the maps of one block at a time, not of all
    assert sinks[0].array.shape[:2] == IMAGE.shape[:2]


def test_a_disk_too_small_is_said_before_the_start(model, tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(0, 0, 1000))
    steps = []
    for resume in (True, False):
        with pytest.raises(OSError, match=r'expected 0.00 GiB of free disk space') as info:
            by_strips(
                model,
                ArrayRows(IMAGE),
                workspace(tmp_path, resume=resume),
                on_progress=steps.append,
            )
        assert info.value.filename == str(tmp_path)
    assert not steps


def test_what_has_been_written_counts_as_free(model, expected, tmp_path, monkeypatch):
    with pytest.raises(StoppedError):
        by_strips(
            model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8, on_progress=stop_at(5)
        )
    needed = plan_segmentation(model, ArrayRows(IMAGE), ArraySink(), strip_rows=8).needed_bytes
    written = sum(path.stat().st_size for path in tmp_path.glob('*.mmvig-map'))
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(0, 0, needed - written))
    found = by_strips(model, ArrayRows(IMAGE), workspace(tmp_path), strip_rows=8)
    assert np.array_equal(found, expected)


def test_an_error_leaves_nothing_unless_the_run_is_to_go_on(model, tmp_path):
    with pytest.raises(StoppedError):
        by_strips(
            model, ArrayRows(IMAGE), workspace(tmp_path, resume=False), on_progress=stop_at(5)
        )
    assert not list(tmp_path.iterdir())


def test_small_runs_take_memory(model, expected, tmp_path):
    found = by_strips(
        model,
        ArrayRows(IMAGE),
        workspace(tmp_path, ram_bytes=2**30),
        strip_rows=8,
        on_progress=lambda _: os.rmdir(tmp_path) if tmp_path.exists() else None,
    )
    assert np.array_equal(found, expected)
    assert not tmp_path.exists()


def test_no_pass_leaves_rows_behind(model):
    """They would lie beside those of all later passes."""

    def alive() -> int:
        return sum(one.nbytes for one in gc.get_objects() if type(one) is torch.Tensor)

    plan = plan_segmentation(model, ArrayRows(IMAGE), ArraySink(), strip_rows=8)
    before = alive()
    with Workspace() as running:
        running.run(plan)
        assert alive() == before


def test_progress_rises_to_the_whole(model):
    fractions = []
    by_strips(model, ArrayRows(IMAGE), Workspace(), strip_rows=8, on_progress=fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert fractions[0] < 0.1


def test_maps_cannot_be_read_after_the_workspace(model):
    with Workspace() as space:
        plan = plan_segmentation(model, ArrayRows(IMAGE), ArraySink())
        plan.outputs = [plan.passes[0].writes[0]]
        space.run(plan)
        assert plan.outputs[0].read(0, 1).shape == (1, 18, 8)
    with pytest.raises(RuntimeError, match='only in an open workspace'):
        plan.outputs[0].read(0, 1)


def test_a_workspace_that_resumes_needs_a_folder():
    with pytest.raises(ValueError, match='expected a folder to resume in'):
        Workspace(resume=True)
