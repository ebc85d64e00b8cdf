"""Huge images by strips: memory and time, the error against memory, and what windows cost.

    python -m benchmarks.huge_images all        # everything; hours, and 15 GiB of disk
    python -m benchmarks.huge_images memory --archs nano --sides 1024 2048
    python -m benchmarks.huge_images windows --sides 512 1024
    python -m benchmarks.huge_images table      # prints the rows of the CSV files

`memory` predicts a drawn TIFF file from reading to writing, UperNet with the light heads of
`vig_upernet_mini` and random weights, each size in a process of its own. `peak_mib` is the most
memory that the process has ever held, Python, torch and model included, of which `model_mib` were
there before the prediction. Where it also fits in memory (`--most-in-memory`), `relative_error` is
the largest difference of a logit over the largest logit, and `labels_differ` counts pixels.

`windows` trains ViG nano on bars whose class shows at their far end, and predicts large images of
them as a whole by strips, and by sliding windows of mmseg: `bars_right` is the share of the pixels
of bars that get their class, `labels_differ` that of all pixels in which windows and whole differ.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.huge_windows import measure_windows
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name, keep, origin, read

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks/results'
ARCHS = ('nano', 'tiny')
SIDES = (1024, 2048, 4096, 8192, 16384)
WINDOW_SIDES = (512, 1024)
KEY = ('arch', 'side', 'device', 'cpu', 'threads')
SHOWN = ('arch', 'side', 'peak_mib', 'seconds_per_megapixel', 'relative_error', 'labels_differ')
WINDOWS_KEY = ('side', 'window')
WINDOWS_SHOWN = ('side', 'window', 'bars_right', 'bars_right_whole', 'labels_differ')


def measure_memory(args: argparse.Namespace) -> Iterator[dict]:
    for arch in args.archs or ARCHS:
        for side in args.sides or SIDES:
            compare = side <= args.most_in_memory
            command = [
                sys.executable, '-m', 'benchmarks.huge_process', arch, str(side),
                '--work', str(args.work), *(['--compare'] if compare else []),
            ]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured = json.loads(done.stdout.splitlines()[-1])
            row = dict(arch=arch, side=side, **measured, device=device_name('cpu'))
            yield row | describe_cpu() | origin()


def print_table(path: Path, columns: Sequence[str]) -> None:
    """The rows of a file as Markdown."""
    lines = [columns, ['---'] * len(columns)]
    if path.is_file():
        lines += [[row[column] for column in columns] for row in read(path)]
    sys.stdout.write(''.join(f'| {" | ".join(line)} |\n' for line in lines))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=['all', 'memory', 'windows', 'table'])
    parser.add_argument('--archs', nargs='+', choices=ARCHS, help='of memory; all')
    parser.add_argument('--sides', nargs='+', type=int, help='pixels; 1k … 16k, windows 512, 1024')
    parser.add_argument('--most-in-memory', type=int, default=2048, metavar='SIDE')
    parser.add_argument('--iterations', type=int, default=600, help='of the training for windows')
    parser.add_argument('--work', type=Path, default=Path('work_dirs/huge-images'))
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of the CSV files')
    parser.add_argument('--picture', type=Path, help='JPEG of the windows, written anew')
    args = parser.parse_args(argv)
    memory, windows = (args.results / f'huge_{name}.csv' for name in ('memory', 'windows'))
    if args.what in ('all', 'memory'):
        keep(memory, measure_memory(args), KEY, SHOWN)
    if args.what in ('all', 'windows'):
        rows = measure_windows(args.work, args.sides or WINDOW_SIDES, args.iterations, args.picture)
        keep(windows, (row | origin() for row in rows), WINDOWS_KEY, WINDOWS_SHOWN)
    print_table(memory, SHOWN)
    print_table(windows, WINDOWS_SHOWN)


if __name__ == '__main__':
    main()
