"""Training curves from the logs that mmengine writes, `WORK_DIR/DATE/vis_data/scalars.json`.

A line with `iter` comes from training; one without comes from an evaluation after epoch or
iteration `step`.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Metrics that are drawn by default; of an evaluation without any of them, all are drawn.
MAIN_METRICS = ('coco/bbox_mAP', 'coco/segm_mAP', 'mIoU', 'aAcc', 'accuracy/top1')
TIMES = ('time', 'data_time')


class Point(NamedTuple):
    """One logged value: `step` is an epoch or an iteration, `iteration` always the latter."""

    step: float
    iteration: int
    value: float


class Run(NamedTuple):
    """All logged values of a work dir by name, and whether its evaluations count epochs."""

    training: dict[str, list[Point]]
    metrics: dict[str, list[Point]]
    by_epoch: bool


def find_logs(place: Path) -> list[Path]:
    """The logs of a work dir in order of time, of one of its dated folders, or the file itself.

    Raises:
        FileNotFoundError: there is no log.
    """
    if place.is_file():
        return [place]
    logs = sorted(place.glob('*/vis_data/scalars.json')) or sorted(
        place.glob('vis_data/scalars.json')
    )
    if not logs:
        raise FileNotFoundError(
            f'expected the work dir of a training, with DATE/vis_data/scalars.json; {place} has '
            'none'
        )
    return logs


def read_run(place: Path) -> Run:
    """The curves of a training, joined over all its starts.

    From the first iteration of a later start on, its values replace those of earlier starts: a
    resumed training continues its curves, and a restarted one replaces them.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: a file is not a log of mmengine.
    """
    training: dict[str, list[Point]] = {}
    metrics: dict[str, list[Point]] = {}
    by_epoch = False
    for path in find_logs(place):
        lines = _lines(path)
        start = min((line['iter'] for line in lines if 'iter' in line), default=None)
        if start is not None:
            for curves in (training, metrics):
                for name in curves:
                    curves[name] = [p for p in curves[name] if p.iteration < start]
        last = 0
        for line in lines:
            by_epoch = by_epoch or 'epoch' in line
            last = line.get('iter', last)
            step = line.get('iter', line.get('step', last))
            target = training if 'iter' in line else metrics
            for name, value in line.items():
                if name not in ('iter', 'step', 'epoch') and isinstance(value, int | float):
                    target.setdefault(name, []).append(Point(step, last, value))
    return Run(training, metrics, by_epoch)


def _lines(path: Path) -> list[dict]:
    """The lines of a log, without a last line that was cut off when the process was killed."""
    try:
        *complete, last = path.read_text().split('\n')
        lines = [json.loads(line) for line in complete if line.strip()]
        with suppress(ValueError):
            lines.append(json.loads(last))
    except (ValueError, OSError) as error:
        raise ValueError(
            f'expected a log of mmengine, one JSON object a line, at {path}'
        ) from error
    if not all(isinstance(line, dict) for line in lines):
        raise ValueError(f'expected a log of mmengine, one JSON object a line, at {path}')
    return lines


def draw_curves(runs: dict[str, Run], names: Sequence[str] | None = None) -> Figure:
    """Loss, learning rate and metrics, one panel each, with a line per run.

    Args:
        runs: the runs by their labels.
        names: curves to draw besides loss and learning rate, of training or of evaluation. By
            default the main metrics.

    Raises:
        ValueError: no run has a curve of that name.
    """
    panels = select_panels(runs, names)
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for name, axis in zip(panels, axes, strict=False):
        draw_panel(axis, name, runs)
    for axis in axes:  # the empty panels at the end of the last row
        axis.set_axis_off()
    figure.axes[0].legend(fontsize=8)
    return figure


def select_panels(runs: dict[str, Run], names: Sequence[str] | None) -> list[str]:
    """Names of the curves to draw, in order; `names` as in `draw_curves`.

    Raises:
        ValueError: no run has a curve of that name.
    """
    metrics = _metric_names(runs)
    known = metrics | {name: None for run in runs.values() for name in run.training}
    if names is None:
        names = [name for name in MAIN_METRICS if name in metrics] or list(metrics)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f'expected names of {", ".join(known)}; got {", ".join(unknown)}')
    return [name for name in ('loss', 'lr') if name in known and name not in names] + list(names)


def draw_panel(axis: Axes, name: str, runs: dict[str, Run]) -> None:
    """One curve of all runs; a metric has its points marked and its last value written out."""
    is_metric = name in _metric_names(runs)
    units = set()
    for label, run in runs.items():
        points = (run.metrics if is_metric else run.training).get(name, [])
        steps, values = [p.step for p in points], [p.value for p in points]
        axis.plot(steps, values, label=label, marker='o' if is_metric else None, markersize=4)
        if points:
            units.add('epoch' if run.by_epoch and is_metric else 'iteration')
        if points and is_metric:
            axis.annotate(
                f'{values[-1]:.4g}', (steps[-1], values[-1]), xytext=(-4, 5),
                textcoords='offset points', ha='right', fontsize=8,
            )  # fmt: skip
    title = {'lr': 'learning rate'}.get(name, name)
    axis.set(title=title, xlabel=' or '.join(sorted(units)))
    axis.set_xlim(left=0)
    axis.grid(alpha=0.3)


def _metric_names(runs: dict[str, Run]) -> dict[str, None]:
    """Names of all metrics in the order of the logs; a dict keeps each name once."""
    return {name: None for run in runs.values() for name in run.metrics if name not in TIMES}
