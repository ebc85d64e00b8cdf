"""What the rows of `benchmarks.real_images` say: rates, seconds per step, tables and plots.

Rows are those of the CSV: one for each evaluation, of which the last of a training has as many
`iteration` as `iterations`.
"""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

Row = dict[str, str]

COLUMNS = (
    'backbone', 'parameters', 'CPU s / step', 'learning rate', 'seeds',
    'CPU min', 'box AP', 'mask AP', 'iterations', 'CPU min', 'box AP', 'mask AP',
)  # fmt: skip
ALIKE = 0.08  # trainings of equal iterations count as of equal time if they cost it within this
NOTE = 'The first three results are those of equal iterations, the last three those of equal time.'


def select(rows: Iterable[Row], **values: str) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def last(rows: Iterable[Row]) -> list[Row]:
    """The rows at the ends of trainings."""
    return [row for row in rows if row['iteration'] == row['iterations']]


def ap(row: Row) -> float:
    """Of masks, where there are any."""
    return float(row['segm_mAP'] or row['bbox_mAP'])


def searched(rows: Iterable[Row], name: str, backbone: str) -> list[Row]:
    """The results of a search, of the longest trainings if there are several lengths."""
    found = last(select(rows, kind='search', set=name, backbone=backbone))
    length = max((int(row['iterations']) for row in found), default=0)
    return [row for row in found if int(row['iterations']) == length]


def chosen_rate(rows: Iterable[Row], name: str, backbone: str) -> float:
    """The learning rate with the best AP of the search.

    Raises:
        SystemExit: there was none.
    """
    found = searched(rows, name, backbone)
    if not found:
        sys.exit(
            f'expected rows of a search for {backbone} on {name}, there are none: run search for '
            'it first, or name a single one of --rates'
        )
    return float(max(found, key=ap)['rate'])


def rates(rows: Sequence[Row]) -> str:
    """A line for each search: AP by rate, and whether the best is the first or last tried."""
    lines = []
    for name, backbone in dict.fromkeys((row['set'], row['backbone']) for row in rows):
        found = sorted(searched(rows, name, backbone), key=lambda row: float(row['rate']))
        if found:
            best = max(found, key=ap)
            note = ' (at the end of those tried)' if best in (found[0], found[-1]) else ''
            aps = ', '.join(f'{row["rate"]}: {ap(row):.3f}' for row in found)
            lines.append(f'{name} {backbone}  {aps}  best {best["rate"]}{note}\n')
    return ''.join(lines)


def seconds_per_step(rows: Iterable[Row], name: str, backbone: str) -> float:
    """The median over the trainings of the search or, without one, over those of equal length.

    Raises:
        SystemExit: there are none, or their machines differ, whose times cannot be compared.
    """
    rows = list(rows)
    found = median_per_step(rows, name, backbone)
    if found is None:
        sys.exit(f'expected trainings of {backbone} on {name}, there are none: run search first')
    trained = [row for row in select(rows, set=name) if row['kind'] != 'time']
    machines = {f'{row["device"]} ({row["cpu"]})' for row in trained}
    if len(machines) > 1:
        sys.exit(
            f'expected the trainings on {name} to be from one machine, the rows are from '
            f'{" and ".join(sorted(machines))}: measure into another --csv'
        )
    return found


def median_per_step(rows: Iterable[Row], name: str, backbone: str) -> float | None:
    rows = list(rows)
    found = searched(rows, name, backbone) or last(results(rows, name, backbone, 'iterations'))
    return statistics.median(map(per_step, found)) if found else None


def per_step(row: Row) -> float:
    return float(row['cpu_seconds']) / int(row['iteration'])


def hours(lengths: Iterable[tuple[str, str, int]], rows: Iterable[Row]) -> str:
    """CPU hours of trainings without their evaluations, in words; '' where they are not known.

    Args:
        lengths: set, backbone and iterations of each. A backbone without rows is taken to cost what
            the others of the set do.
        rows: of trainings on this machine.
    """
    known = defaultdict(list)
    for row in last(rows):
        known[row['set']].append((row['backbone'], per_step(row)))
    seconds = 0.0
    for name, backbone, iterations in lengths:
        of_set = known.get(name, [])
        found = [value for other, value in of_set if other == backbone] or [v for _, v in of_set]
        if not found:
            return ''
        seconds += iterations * statistics.median(found)
    return f', about {seconds / 3600:.1f} CPU hours and evaluations' if seconds else ''


def of_one_setting(rows: Iterable[Row]) -> list[Row]:
    """The rows with the rate and the length that most trainings have, the newest of equals."""
    groups = defaultdict(list)
    for row in rows:
        groups[row['rate'], row['iterations']].append(row)
    return max(reversed(groups.values()), key=lambda group: len(last(group)), default=[])


def results(rows: Iterable[Row], name: str, backbone: str, kind: str) -> list[Row]:
    """All evaluations of one kind of training; ViG nano's time is the measure of the others."""
    kind = 'iterations' if backbone == 'vig' else kind
    return of_one_setting(select(rows, kind=kind, set=name, backbone=backbone))


def is_alike(own: float, other: float) -> bool:
    """Whether trainings of equal iterations, by their seconds per step, cost the same time too."""
    return abs(own / other - 1) <= ALIKE


def spread(values: Sequence[float], form: str = '.3f') -> str:
    """Mean and standard deviation, the latter of three and more."""
    text = f'{statistics.mean(values):{form}}'
    return f'{text} ± {statistics.stdev(values):{form}}' if len(values) > 2 else text


def cells(rows: Iterable[Row], name: str, backbone: str) -> list[str] | None:
    """A line of the table; None without a training."""
    equal, timed = (last(results(rows, name, backbone, kind)) for kind in ('iterations', 'time'))
    if not equal:
        return None
    own, other = (median_per_step(rows, name, each) for each in ('vig', backbone))
    if not timed and own and is_alike(own, other):
        timed = equal
    first = equal[0]
    line = [
        backbone, f'{int(first["backbone_parameters"]) / 1e6:.2f} M',
        f'{statistics.median(map(per_step, equal)):.2f}', first['rate'], str(len(equal)),
    ]  # fmt: skip
    for found, of_time in ((equal, False), (timed, True)):
        if of_time:
            line.append(timed[0]['iterations'] if timed else '–')
        for column, form in (('cpu_seconds', '.1f'), ('bbox_mAP', '.3f'), ('segm_mAP', '.3f')):
            values = [float(row[column]) for row in found if row[column]]
            scale = 60 if column == 'cpu_seconds' else 1
            line.append(spread([value / scale for value in values], form) if values else '–')
    return line


def table(rows: Sequence[Row]) -> str:
    """A Markdown table for each set."""
    parts = []
    for name in dict.fromkeys(row['set'] for row in rows):
        backbones = dict.fromkeys(row['backbone'] for row in select(rows, set=name))
        lines = [line for each in backbones if (line := cells(rows, name, each))]
        if lines:
            head = [COLUMNS, ('---', *['---:'] * (len(COLUMNS) - 1))]
            text = '\n'.join(f'| {" | ".join(line)} |' for line in (*head, *lines))
            iterations = results(rows, name, 'vig', 'iterations')
            title = f'{name}, {iterations[0]["iterations"]} iterations' if iterations else name
            parts.append(f'{title}\n\n{text}\n')
    return '\n'.join([*parts, NOTE] if parts else ['no training has ended yet'])


def draw_plots(rows: Sequence[Row], csv: Path) -> None:
    """AP against CPU minutes, a picture for each set beside the CSV."""
    for name in dict.fromkeys(row['set'] for row in rows if row['kind'] != 'search'):
        figure = Figure(figsize=(7, 4.5), layout='tight')
        axes = figure.subplots()
        of_set = select(rows, set=name)
        for i, backbone in enumerate(dict.fromkeys(row['backbone'] for row in of_set)):
            equal = results(of_set, name, backbone, 'iterations')
            if equal:
                draw_curve(axes, equal, f'C{i}', backbone)
            draw_end(axes, last(equal), f'C{i}', 'o')
            if backbone != 'vig':
                draw_end(axes, last(results(of_set, name, backbone, 'time')), f'C{i}', 's')
        kind = 'mask' if any(row['segm_mAP'] for row in of_set) else 'box'
        axes.set(
            xlabel='CPU minutes of training, one thread',
            ylabel=f'{kind} AP',
            title=f'{name}: equal iterations (lines, circles) and equal time (squares)',
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        figure.savefig(csv.with_name(f'{csv.stem}_{name}.png'), dpi=120)


def draw_curve(axes, rows: Sequence[Row], color: str, label: str) -> None:
    """The evaluations of the seed that has most of them."""
    seeds = defaultdict(list)
    for row in rows:
        seeds[row['seed']].append((float(row['cpu_seconds']) / 60, ap(row)))
    curve = sorted(max(seeds.values(), key=len))
    axes.plot(*zip(*curve, strict=True), color=color, marker='o', markersize=3, label=label)


def draw_end(axes, rows: Sequence[Row], color: str, marker: str) -> None:
    """Mean and range over seeds at the end."""
    if not rows:
        return
    aps = [ap(row) for row in rows]
    mean = statistics.mean(aps)
    minutes = statistics.mean(float(row['cpu_seconds']) / 60 for row in rows)
    axes.errorbar(minutes, mean, [[mean - min(aps)], [max(aps) - mean]], color=color, marker=marker,
                  markersize=5, capsize=3)  # fmt: skip
