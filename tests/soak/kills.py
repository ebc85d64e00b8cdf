"""Kill a training at random moments and resume it, until it has ended; compare with one run.

    python -m tests.soak.kills --kills 24 --kind seg

The libraries are imported once and each start is a fork, so that a start costs a second. A third of
the kills is aimed at the moments in which a checkpoint is written.
"""

import argparse
import gc
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

import mmvig.cli.train
from mmvig import checkpoint
from mmvig.datasets.shapes import ensure_mini

from .trainings import differences, write_config

PATIENCE = 120  # seconds that one start may take


def start(config: Path, work_dir: Path, log: Path) -> int:
    """`python -m mmvig train CONFIG --resume` in a fork; returns its process id."""
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # so that `kill` reaches the processes that load data
        return pid
    status = 1
    try:
        with log.open('a') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        mmvig.cli.train.main([str(config), '--work-dir', str(work_dir), '--resume'])
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def wait(pid: int, until: float = float('inf'), moment=lambda: False) -> int | None:
    """The exit status, or None where time or the moment came first."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until or moment():
            return None
        time.sleep(2e-4)


def kill(pid: int) -> None:
    """With the processes that load data, some of which would wait for it forever."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def moment(work_dir: Path, before: set[Path]) -> str:
    """What a training was doing when it was killed, judged by its files."""
    if list(work_dir.glob('*.pth.part')):
        return 'writing a checkpoint'
    if list(work_dir.glob('*.part')):
        return 'writing a note'
    named = work_dir / 'last_checkpoint'
    checkpoints = sorted(work_dir.glob('[ei]*.pth'), key=lambda path: path.stat().st_mtime_ns)
    if checkpoints and (not named.is_file() or Path(named.read_text()) != checkpoints[-1]):
        return 'between a checkpoint and its name'
    begun = set(work_dir.glob('*/vis_data/scalars.json')) - before
    return 'training or validating' if begun else 'starting'


def check_named(work_dir: Path) -> None:
    """The checkpoint that `last_checkpoint` names is whole, whenever the kill came."""
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file():
        checkpoint.read(pointer.read_text())


def run(
    kind: str, kills: int, seed: int, length: int, place: Path, data: Path,
    workers: int = 0, persistent: bool = False,
) -> Counter:  # fmt: skip
    """Trainings of `length`, killed until there were `kills`; returns the moments that were hit.

    Raises:
        AssertionError: one of them did not end like the undisturbed one, or did not end.
    """
    ensure_mini(data)
    config = write_config(kind, place, data, length, workers, persistent)
    log = place / 'log.txt'
    begin = time.monotonic()
    assert wait(start(config, place / 'undisturbed', log), begin + PATIENCE) == 0, log
    seconds = time.monotonic() - begin
    rng = random.Random(seed)
    hit = Counter()
    training = 0
    while hit.total() < kills:
        work_dir = place / f'killed{training}'
        training += 1
        while True:
            begin = time.monotonic()
            before = set(work_dir.glob('*/vis_data/scalars.json'))
            pid = start(config, work_dir, log)
            if hit.total() >= kills:
                status = wait(pid, begin + PATIENCE)
            elif rng.random() < 1 / 3:
                skip = rng.randrange(3)  # the first, second or third file in this start
                status = wait(pid, begin + PATIENCE, _Writing(work_dir, skip))
            else:
                status = wait(pid, begin + rng.uniform(0, seconds))
            if status is not None:
                assert status == 0, f'training {training} ended with {status}, see {log}'
                break
            kill(pid)
            assert time.monotonic() - begin < PATIENCE, f'a start hung, see {log}'
            hit[moment(work_dir, before)] += 1
            check_named(work_dir)
        places = differences(place / 'undisturbed', work_dir)
        assert not places, f'training {training}: {places[:8]}'
    hit['trainings'] = training
    return hit


class _Writing:
    """Whether a checkpoint is being written, after `skip` others."""

    def __init__(self, work_dir: Path, skip: int) -> None:
        self.work_dir, self.skip, self.inside = work_dir, skip, True

    def __call__(self) -> bool:
        inside = self.work_dir.is_dir() and any(
            name.endswith('.pth.part') for name in os.listdir(self.work_dir)
        )
        entered, self.inside = inside and not self.inside, inside
        if entered:
            self.skip -= 1
        return entered and self.skip < 0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--kind', choices=['seg', 'det'], default='seg')
    options.add_argument('--kills', type=int, default=24)
    options.add_argument('--seed', type=int, default=0)
    options.add_argument('--length', type=int, default=24, help='iterations (seg), epochs (det)')
    options.add_argument('--workers', type=int, default=0, help='processes that load data')
    options.add_argument('--persistent', action='store_true', help='workers outlive an epoch')
    options.add_argument('--data', type=Path, help='the mini set; drawn if it is missing')
    args = options.parse_args()
    torch.set_num_threads(1)
    importlib.import_module({'seg': 'mmseg.apis', 'det': 'mmdet.apis'}[args.kind])
    gc.freeze()  # a collection in a fork would copy all that the libraries hold
    begin = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix='mmvig-kills-'))  # kept after a failure
    hit = run(
        args.kind, args.kills, args.seed, args.length, place, args.data or place / 'mini',
        args.workers, args.persistent,
    )  # fmt: skip
    shutil.rmtree(place)
    trainings = hit.pop('trainings')
    moments = ', '.join(f'{number} {name}' for name, number in hit.most_common())
    sys.stdout.write(
        f'{args.kind}: {hit.total()} kills in {trainings} trainings ({moments}), each ended as the '
        f'undisturbed one to the last bit; {time.monotonic() - begin:.0f} s\n'
    )


if __name__ == '__main__':
    main()
