"""Running the project's commands as a user does, and reading what they logged."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def call(*command, cwd: Path, check: bool = True, **env) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHON': sys.executable} | env,
    )
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def tool(name: str, *args, **kwargs) -> subprocess.CompletedProcess:
    return call(sys.executable, ROOT / f'tools/{name}.py', *args, **kwargs)


def benchmark(name: str, *args, **kwargs) -> subprocess.CompletedProcess:
    module = f'benchmarks.{name}'
    return call(sys.executable, '-m', module, *args, PYTHONPATH=str(ROOT), **kwargs)


def logged(work_dir: Path, key: str = 'loss') -> list[float]:
    """A number of every logged iteration, over all runs in a work dir."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for path in logs for line in path.read_text().splitlines()]
    return [line[key] for line in lines if key in line]
