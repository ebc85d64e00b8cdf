"""One page about what the steps found: what passed, what failed, and the ratios that matter."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gpu_day.processes import results
from benchmarks.rows import read

PREDICTIONS = Path(__file__).resolve().parents[1] / 'results/kernel_predictions.csv'
# Times over that of moving the bytes at the measured copy bandwidth, for 16,384 tokens and more.
TARGETS = {'forward': 2.0, 'forward+backward': 3.0}
LONG = 16_384
# The paper's abstract, of ViG-T against DeiT-T on one image of 1024²: time, and memory.
CLAIMS = {'ms': 1 / 4.8, 'peak_mib': 1 - 0.9}


def write(out: Path) -> str:
    """Write `report.md` from what is in the folder; returns the page."""
    page = '\n'.join(_page(out)) + '\n'
    (out / 'report.md').write_text(page)
    return page


def _page(out: Path) -> Iterator[str]:
    yield '# mmvig on one GPU'
    past = results(out)
    if any(result['rehearsal'] for result in past.values()):
        yield '\n**A rehearsal**: tiny inputs on a CPU. No number here says anything about speed.'
    sections = (
        ('Steps', _steps(past)),
        ('Machine', _machine(_rows(out, 'machine'))),
        ('Correctness', _correctness(_rows(out, 'correctness'))),
        ('The operator', _kernels(_rows(out, 'kernel'), read(PREDICTIONS))),
        ('Its kernels', _kernel_times(_rows(out, 'kernel_times'))),
        ('Backbones', _backbones(_rows(out, 'backbone'))),
        ('The paper at 1024²', _claims(_rows(out, 'backbone'))),
        ('torch.compile', _plain(_rows(out, 'compiled'), ('check', 'mode', 'dtype', 'ms',
                                                          'vs_eager', 'error', 'graphs'))),
        ('Training steps', _plain(_rows(out, 'step_time'), ('model', 'config', 'dtype', 'ms',
                                                            'vs_swin_t', 'backbone',
                                                            'peak_mib'))),
        ('Training on the mini set', _plain(_rows(out, 'mini_training'),
                                            ('config', 'seconds', 'bbox_mAP', 'cpu_bbox_mAP',
                                             'segm_mAP', 'cpu_segm_mAP'))),
    )  # fmt: skip
    for title, lines in sections:
        lines = list(lines)
        if lines:
            yield from (f'\n## {title}\n', *lines)


def _rows(out: Path, name: str) -> list[dict[str, str]]:
    path = out / f'{name}.csv'
    return read(path) if path.is_file() else []


def _table(header: Sequence[str], rows: Sequence[Sequence]) -> Iterator[str]:
    if rows:
        yield f'| {" | ".join(header)} |'
        yield f'|{"---|" * len(header)}'
        yield from (f'| {" | ".join(map(str, row))} |' for row in rows)


def _plain(rows: list[dict], columns: Sequence[str]) -> Iterator[str]:
    return _table(columns, [[row[column] for column in columns] for row in rows])


def _steps(past: dict[str, dict]) -> Iterator[str]:
    shown = sorted(past.values(), key=lambda result: result['status'] == 'passed')
    return _table(
        ('step', 'ended', 'seconds', 'what it said'),
        [[r['step'], r['status'], r['seconds'], r['detail'].replace('|', '/')] for r in shown],
    )


def _machine(rows: list[dict]) -> Iterator[str]:
    for row in rows:
        yield f'- {row["fact"]}: {row["value"]}'


def _correctness(rows: list[dict]) -> Iterator[str]:
    if not rows:
        return
    counts = Counter(row['result'] for row in rows)
    yield ', '.join(f'{count} {result}' for result, count in counts.most_common()) + '.'
    errors = [row for row in rows if row['check'] == 'against_float64' and row['of_budget']]
    if errors:
        worst = max(errors, key=lambda row: float(row['of_budget']))
        yield (
            f'Largest error: {worst["of_budget"]} of its budget, at {worst["dtype"]}, '
            f'T = {worst["T"]}, gates {worst["gates"]}, {worst["layout"]}.'
        )
    for row in rows:
        if row['result'] != 'passed':
            where = ', '.join(row[key] for key in ('T', 'dtype', 'directions', 'gates', 'layout'))
            said = row['detail'] or row['of_budget']
            yield f'- {row["result"]}: {row["check"]} ({where}): {said}'


def _kernels(rows: list[dict], predictions: list[dict]) -> Iterator[str]:
    """Our time beside the predicted one and that of the bytes; every peer's time over ours."""
    key = ('mode', 'dtype', 'B', 'T', 'H', 'K', 'V')
    predicted = {
        tuple(row[k] for k in key): float(row['predicted_us']) / 1e3
        for row in predictions
        if rows and row['chip'] in rows[0]['device']
    }
    calls: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        calls.setdefault(tuple(row[k] for k in key), {})[row['provider']] = row
    peers = list(dict.fromkeys(row['provider'] for row in rows if row['provider'] != 'triton'))
    table, missed = [], []
    for call, measured in sorted(calls.items(), key=lambda item: (item[0][:2], int(item[0][3]))):
        ours = measured.get('triton')
        over_bytes = f'{1 / float(ours["of_copy"]):.2f}' if ours and float(ours['of_copy']) else ''
        if over_bytes and int(call[3]) >= LONG and float(over_bytes) > TARGETS[call[0]]:
            missed.append((call, over_bytes))
        # Without ours, as in a rehearsal, the peers' own times.
        unit = float(ours['ms']) if ours else 1.0
        others = [f'{float(measured[p]["ms"]) / unit:.2f}' if p in measured else '' for p in peers]
        ms = ours['ms'] if ours else ''
        table.append([*call, ms, predicted.get(call, ''), over_bytes, *others])
    header = [*key, 'ms', 'predicted ms', 'over the bytes', *(f'{p} / ours' for p in peers)]
    yield from _table(header, table)
    long = [row for row in rows if row['provider'] == 'triton' and int(row['T']) >= LONG]
    if long:
        yield (
            f'\nFrom {LONG:,} tokens on: {len(long) - len(missed)} of {len(long)} calls within '
            f'{TARGETS["forward"]:g}× (forward) and {TARGETS["forward+backward"]:g}× (with '
            'backward) of the bytes over the copy bandwidth.'
        )


def _kernel_times(rows: list[dict]) -> Iterator[str]:
    return _plain(rows, ('kernel', 'B', 'T', 'H', 'K', 'V', 'dtype', 'us', 'launches'))


def _backbones(rows: list[dict]) -> Iterator[str]:
    return _plain(
        rows,
        ('model', 'mode', 'dtype', 'height', 'width', 'ms', 'vs_swin_t', 'peak_mib', 'share_op'),
    )


def _claims(rows: list[dict]) -> Iterator[str]:
    found = {
        (row['mode'], row['dtype'], row['model']): row for row in rows if row['height'] == '1024'
    }
    for (mode, dtype, model), ours in found.items():
        theirs = found.get((mode, dtype, 'deit-t'))
        if model != 'vig-plain-tiny' or theirs is None:
            continue
        for column, claim in CLAIMS.items():
            ratio = float(ours[column]) / float(theirs[column])
            yield f'- {mode}, {dtype}, {column}: {ratio:.3f} of DeiT-T; the paper says {claim:.3f}'
