"""Training curves from the logs that mmengine writes, `WORK_DIR/DATE/vis_data/scalars.json`.

A line with `iter` is of training, one without is an evaluation, at the epoch or iteration `step`.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

# What is drawn of an evaluation unless other names are asked for; of anything else, all there is.
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
    """The logs of a work dir in order, of one of its dated folders, or the file itself.

    Raises:
        FileNotFoundError: there is none.
    """
    if place.is_file():
        return [place]
    found = sorted(place.glob('*/vis_data/scalars.json')) or sorted(
        place.glob('vis_data/scalars.json')
    )
    if not found:
        raise FileNotFoundError(
            f'expected the work dir of a training, with DATE/vis_data/scalars.json; {place} has '
            'none'
        )
    return found


def read_run(place: Path) -> Run:
    """The curves of a training, over all its starts.

    Where a later start logs iterations again that an earlier one had logged, the later one counts:
    a resumed training goes on, one that was begun anew replaces what was there.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: a file is no log of mmengine.
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
    """The lines of a log; a last one that a kill cut off is left out."""
    try:
        *whole, last = path.read_text().split('\n')
        lines = [json.loads(line) for line in whole if line.strip()]
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
    """Loss, learning rate and metrics, a panel each, with a line per run.

    Args:
        runs: by the label of the run.
        names: what to draw besides loss and learning rate: names in the logs, of training or of
            evaluation. By default the main metrics.

    Raises:
        ValueError: no run has a value of that name.
    """
    metrics = {name: None for run in runs.values() for name in run.metrics if name not in TIMES}
    if names is None:
        names = [name for name in MAIN_METRICS if name in metrics] or list(metrics)
    known = metrics | {name: None for run in runs.values() for name in run.training}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f'expected names of {", ".join(known)}; got {", ".join(unknown)}')
    panels = [name for name in ('loss', 'lr') if name in known and name not in names] + list(names)
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for name, axis in zip(panels, axes, strict=False):
        evaluated = name in metrics
        units = set()
        for label, run in runs.items():
            points = (run.metrics if evaluated else run.training).get(name, [])
            steps, values = [p.step for p in points], [p.value for p in points]
            axis.plot(steps, values, label=label, marker='o' if evaluated else None, markersize=4)
            if points:
                units.add('epoch' if run.by_epoch and evaluated else 'iteration')
            if points and evaluated:
                axis.annotate(
                    f'{values[-1]:.4g}', (steps[-1], values[-1]), xytext=(-4, 5),
                    textcoords='offset points', ha='right', fontsize=8,
                )  # fmt: skip
        title = {'lr': 'learning rate'}.get(name, name)
        axis.set(title=title, xlabel=' or '.join(sorted(units)))
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    for axis in axes:  # those that are left
        axis.set_axis_off()
    figure.axes[0].legend(fontsize=8)
    return figure
