"""Real images, from scratch: ViG nano and the backbones that people would take instead.

    python -m benchmarks.real_images all           # everything that the CSV lacks
    python -m benchmarks.real_images search        # a learning rate for each, on a third
    python -m benchmarks.real_images iterations    # trainings of equal length
    python -m benchmarks.real_images time          # of the peers, trainings of equal CPU time
    python -m benchmarks.real_images table         # prints and draws the rows of the CSV
    python -m benchmarks.real_images picture       # truth beside prediction

The configs are those of `configs/real/`; MMVIG_REAL_DATA names the folder of the sets. All peers
have the heads, the data and the schedule of ViG nano, and its parameters within a tenth but for
ResNet-18. `search` trains each with every rate of `--rates` and the same seed; the rate with the
best AP (of masks where there are any) is taken, on every third validation image. `time` gives a
peer as many iterations, with a schedule of that length, as cost the CPU time of ViG nano's, by the
seconds of the search; where these are its iterations within `ALIKE`, it has no training of its own.

The lengths in `SETS` are shorter than the configs' own, so that all trainings and evaluations of
nuclei fit into about 4 CPU hours and those of blood cells into 2; `--iterations` changes them. What
is missing is told with its hours, as far as seconds per step are known.

Each training is a process with one thread, and its seconds are CPU time, which other work on the
machine changes little; only training counts, not evaluation. It can be stopped at any moment: the
same command goes on at the last checkpoint, and trains nothing that has its rows.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.real_report import (
    chosen_rate,
    draw_plots,
    hours,
    is_alike,
    rates,
    seconds_per_step,
    table,
)
from benchmarks.rows import merge, origin, read

ROOT = Path(__file__).resolve().parents[1]
KINDS = ('search', 'iterations', 'time')
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3)
SEARCH_SHARE = 1 / 3  # of the iterations
SEARCH_EVERY = 3  # validation image that it evaluates on
EVALUATIONS = 2  # of the trainings that are drawn as lines; others are evaluated at the end
KEY = ('kind', 'set', 'backbone', 'seed', 'rate', 'iterations', 'iteration')
BACKBONES = ('vig', 'resnet-18', 'swin', 'convnext', 'plain-vig', 'vir', 'linglo')
SEEDS = {name: (0, 1, 2) if name in BACKBONES[:4] else (0,) for name in BACKBONES}


class Set(NamedTuple):
    """The config of ViG nano, iterations of the comparison, the validation images to be shown."""

    config: str
    iterations: int
    shown: tuple[int, ...]


SETS = {
    'nuclei': Set('nuclei_maskrcnn', 486, shown=(18, 27, 39, 114)),  # of four kinds
    'bccd': Set('bccd_retinanet', 450, shown=(0, 21, 43, 65)),
}


class Job(NamedTuple):
    """One training."""

    kind: str
    set: str
    backbone: str
    seed: int
    rate: float
    iterations: int
    scale: float | None = None  # of images over the files' own, else the config's

    @property
    def config(self) -> str:
        name = SETS[self.set].config
        return f'real/{name}' if self.backbone == 'vig' else f'real/peers/{name}_{self.backbone}'

    def work_dir(self, root: Path) -> Path:
        last = f'{self.kind}_{self.iterations}_{self.rate:g}_{self.seed}'
        last += f'_{self.scale:g}' if self.scale else ''
        return root / self.set / self.backbone / last

    def is_done(self, rows: Iterable[dict[str, str]]) -> bool:
        wanted = self._asdict() | dict(scale=self.scale or '', iteration=self.iterations)
        return any(all(row.get(k, '') == str(v) for k, v in wanted.items()) for row in rows)


def plan(kind: str, args: argparse.Namespace) -> Iterator[Job]:
    """The trainings of a kind that are asked for, also those that were done.

    The lengths and rates of some follow from rows of the search, which must be there.
    """
    rows = read_rows(args.csv)
    for name in args.sets:
        whole = args.iterations or SETS[name].iterations
        for backbone in args.backbones:
            seeds = args.seeds or SEEDS[backbone]
            if kind == 'search':
                short = max(1, round(whole * SEARCH_SHARE))
                for rate in args.rates:
                    yield Job(kind, name, backbone, seeds[0], rate, short)
                continue
            if kind == 'time' and backbone == 'vig':
                continue
            rate = args.rates[0] if len(args.rates) == 1 else chosen_rate(rows, name, backbone)
            length = whole
            if kind == 'time':
                own, other = (seconds_per_step(rows, name, each) for each in ('vig', backbone))
                length = round(whole * own / other)
                if is_alike(own, other):
                    continue
            for seed in seeds:
                yield Job(kind, name, backbone, seed, rate, length)


def read_rows(path: Path) -> list[dict[str, str]]:
    return read(path) if path.is_file() else []


def start(job: Job, work_dir: Path) -> subprocess.Popen:
    """The training as a process; it logs to `output.txt`."""
    work_dir.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, '-m', 'benchmarks.real_training', *arguments(job, work_dir)]
    with (work_dir / 'output.txt').open('a') as output:
        return subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | {'OMP_NUM_THREADS': '1'},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def arguments(job: Job, work_dir: Path) -> list[str]:
    """Of `benchmarks.real_training`."""
    evaluations = EVALUATIONS if (job.kind, job.seed) == ('iterations', 0) else 1
    every = SEARCH_EVERY if job.kind == 'search' else 1
    return [
        str(ROOT / f'configs/{job.config}.py'), str(work_dir), '--iterations', str(job.iterations),
        '--evaluations', str(evaluations), '--every', str(every),
        '--rate', str(job.rate), '--seed', str(job.seed),
        *(['--scale', str(job.scale)] if job.scale else []),
    ]  # fmt: skip


def train(jobs: Sequence[Job], work: Path, count: int) -> Iterator[tuple[Job, bool]]:
    """Run `count` trainings at once; each job as it ends, and whether it ended well."""
    waiting, running = list(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < count:
                job = waiting.pop(0)
                running[job] = start(job, job.work_dir(work))
            for job, process in list(running.items()):
                if process.poll() is not None:
                    del running[job]
                    yield job, process.returncode == 0
            time.sleep(0.2)
    finally:
        for process in running.values():
            process.terminate()
            process.wait()


def rows_of(job: Job, work_dir: Path) -> list[dict]:
    """A row for each evaluation of a training."""
    measured = json.loads((work_dir / 'measured.json').read_text())
    sizes = {name: measured.pop(name) for name in ('backbone_parameters', 'parameters')}
    found = measured.pop('points')
    fixed = dict(**job._asdict(), config=job.config, **sizes)
    return [fixed | point | origin() | measured for point in found]


def measure(kind: str, args: argparse.Namespace) -> list[Job]:
    """Train what is missing and keep its rows; the jobs that failed."""
    jobs = sorted(plan(kind, args), key=lambda job: job.seed)  # the first of all before others
    rows = read_rows(args.csv)
    missing = [job for job in jobs if not job.is_done(rows)]
    cost = hours([(job.set, job.backbone, job.iterations) for job in missing], rows)
    say(f'{kind}: {len(missing)} of {len(jobs)} trainings are missing{cost}')
    return train_and_keep(missing, args)


def train_and_keep(
    jobs: Sequence[Job], args: argparse.Namespace, key: Sequence[str] = KEY
) -> list[Job]:
    """Train, and keep and tell the rows of each training as it ends; the jobs that failed."""
    failed = []
    for job, is_well in train(jobs, args.work, args.jobs):
        work_dir = job.work_dir(args.work)
        if not is_well:
            failed.append(job)
            say(f'{job.set} {job.backbone}: failed, see {work_dir}/output.txt')
            continue
        found = rows_of(job, work_dir)
        merge(args.csv, found, key)
        last = found[-1]
        say('  '.join(f'{name} {last[name]}' for name in (*key, 'cpu_seconds', 'bbox_mAP')))
        if job.kind != 'iterations':  # pictures are drawn of these
            for path in work_dir.glob('*.pth'):
                path.unlink()
    return failed


def say(line: str) -> None:
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()


def picture(args: argparse.Namespace) -> None:
    from mmengine.config import Config

    from benchmarks.real_picture import draw_sheet

    for name in args.sets:
        jobs = (job for job in plan('iterations', args) if job.set == name)
        job = next(job for job in jobs if job.backbone == 'vig')
        target = args.pictures / f'real_{name}.jpg'
        work_dir = job.work_dir(args.work)
        checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
        draw_sheet(Config.fromfile(work_dir / 'training.py'), checkpoint, SETS[name].shown, target)
        say(f'{target}')


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=['all', *KINDS, 'table', 'picture'])
    parser.add_argument('--sets', nargs='+', choices=SETS, default=list(SETS))
    parser.add_argument('--backbones', nargs='+', choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument('--seeds', nargs='+', type=int, help='three for four backbones, else one')
    parser.add_argument('--rates', nargs='+', type=float, default=list(RATES),
                        help='to search among; a single one needs no search')  # fmt: skip
    parser.add_argument('--iterations', type=int, help='of ViG nano, in place of those of the set')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    parser.add_argument('--work', type=Path, default=Path('work_dirs/real-images'))
    parser.add_argument('--csv', type=Path, default=ROOT / 'benchmarks/results/real_images.csv')
    parser.add_argument('--pictures', type=Path, default=ROOT / 'docs', help='folder of picture')
    args = parser.parse_args(argv)
    args.work = args.work.resolve()
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.what == 'picture':
        picture(args)
        return
    failed = []
    for kind in KINDS:
        if args.what in ('all', kind) and not (kind == 'search' and len(args.rates) == 1):
            failed += measure(kind, args)
    rows = read_rows(args.csv)
    say(rates(rows))
    say(table(rows))
    draw_plots(rows, args.csv)
    if failed:
        sys.exit(f'{len(failed)} trainings failed')


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the trainings too
    main()
