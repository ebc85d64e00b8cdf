"""Kill each process of a training under tools/dist_train.sh in turn, then resume.

    python -m tests.soak.dying_process --processes 2

The launcher must end with an error within `PATIENCE` seconds and say which process died of what;
what it started must be gone; `--resume` must bring the training to its end.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmvig.datasets.shapes import ensure_mini

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
OPTIONS = (
    'train_cfg.max_epochs=4',
    'train_cfg.val_interval=9',
    'train_dataloader.batch_size=8',
    'train_dataloader.dataset.indices=160',
    'default_hooks.checkpoint.max_keep_ckpts=9',
)


def start(work_dir: Path, count: int, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [ROOT / 'tools/dist_train.sh', ROOT / 'configs/cls/vig_classifier_mini.py', str(count),
         '--work-dir', work_dir, *options, '--cfg-options', *OPTIONS],
        cwd=work_dir.parent,
        env=os.environ | dict(PYTHON=sys.executable, OMP_NUM_THREADS='1', PORT='29613'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ranks_of(launcher: int) -> dict[int, int]:
    """Process ids of the launcher's children by rank."""
    ranks = {}
    for pid in Path(f'/proc/{launcher}/task/{launcher}/children').read_text().split():
        variables = Path(f'/proc/{pid}/environ').read_text().split('\0')
        ranks |= {
            int(v.removeprefix('RANK=')): int(pid) for v in variables if v.startswith('RANK=')
        }
    return ranks


def kill(folder: Path, count: int, rank: int) -> str:
    """Kill one process after the first epoch and resume; returns a summary."""
    work_dir = folder / f'killed{rank}'
    training = start(work_dir, count)
    while not (work_dir / 'epoch_1.pth').exists():
        assert training.poll() is None, training.stdout.read()
        time.sleep(0.05)
    processes = ranks_of(training.pid)
    assert sorted(processes) == list(range(count)), processes
    os.kill(processes[rank], signal.SIGKILL)
    begun = time.monotonic()
    output, _ = training.communicate(timeout=PATIENCE)
    seconds = time.monotonic() - begun
    assert training.returncode != 0
    cause = output[output.index('Root Cause') :]
    assert re.search(rf'rank +: {rank} ', cause), cause
    assert 'SIGKILL' in cause, cause
    assert not [pid for pid in processes.values() if Path(f'/proc/{pid}').exists()]

    output, _ = start(work_dir, count, '--resume').communicate()
    assert (work_dir / 'epoch_4.pth').exists(), output[-3000:]
    epochs = sorted({int(n) for n in re.findall(r'Epoch\(train\) +\[(\d+)\]', output)})
    assert epochs, output[-3000:]
    assert 1 not in epochs, 'the first epoch was kept'
    return f'rank {rank} of {count}: all ended after {seconds:.1f} s, resumed at epoch {epochs[0]}'


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument('--processes', type=int, default=2)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ensure_mini(Path(folder, 'data/mini'))
        for rank in range(args.processes):
            sys.stdout.write(kill(Path(folder), args.processes, rank) + '\n')


if __name__ == '__main__':
    main()
