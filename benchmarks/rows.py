"""Rows of measurements in a CSV file: their origin, and how new rows replace older ones."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import triton

from mmvig import __version__


def origin() -> dict[str, object]:
    """What a number depends on besides the code: threads, versions, commit and command."""
    program = f'python -m benchmarks.{Path(sys.argv[0]).stem}'
    return dict(
        threads=torch.get_num_threads(), torch=torch.__version__, triton=triton.__version__,
        mmvig=__version__, commit=commit(), command=' '.join([program, *sys.argv[1:]]),
    )  # fmt: skip


def commit() -> str:
    """The commit of the checkout: `MMVIG_COMMIT`, for copies without their history, or git's."""
    command = ['git', 'rev-parse', '--short', 'HEAD']
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:  # a machine without git
        return os.environ.get('MMVIG_COMMIT', '')
    return os.environ.get('MMVIG_COMMIT', done.stdout.strip())


def device_name(device: str) -> str:
    """The model of the GPU or CPU."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next(line.split(': ')[1] for line in lines if line.startswith('model name'))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def merge(path: Path, rows: list[dict], key: Sequence[str]) -> None:
    """Write rows, all with the same columns; they replace older ones with the same `key`.

    Older rows without a column have an empty cell there.
    """
    merged = {}
    if path.is_file():
        merged = {tuple(row.get(k, '') for k in key): row for row in read(path)}
    merged |= {tuple(str(row[k]) for k in key): row for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.part')
    with partial.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(merged.values())
    partial.replace(path)  # a process that is stopped here loses no older rows


def keep(path: Path, measured: Iterable[dict], key: Sequence[str], shown: Sequence[str]) -> None:
    """Merge each row into the file as soon as it is measured, and print its columns `shown`."""
    rows = []
    for row in measured:
        rows.append(row)
        merge(path, rows, key)
        sys.stdout.write('  '.join(f'{column} {row[column]}' for column in shown) + '\n')
        sys.stdout.flush()
