"""Runs one step: a process with a log, a time limit and a result that outlives everything."""

import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu_day.plan import Step

ROOT = Path(__file__).resolve().parents[2]


def results(out: Path) -> dict[str, dict]:
    """What earlier steps left in the folder, by step. One that was cut off with the whole command
    still says 'started'."""
    found = (json.loads(path.read_text()) for path in sorted(out.glob('step-*.json')))
    return {result['step']: result for result in found}


def run(step: Step, out: Path, limit: float, rehearse: bool) -> dict:
    """Run a step for at most `limit` seconds; returns, and writes, how it ended."""
    command = step.command(out, rehearse)
    result = dict(
        step=step.name, title=step.title, status='started', seconds=0.0, detail='',
        rehearsal=rehearse, command=' '.join(command[1:]),
    )  # fmt: skip
    path = out / f'step-{step.name}.json'
    path.write_text(json.dumps(result, indent=1))
    site = out / 'site'
    missing = [name for name in step.needs if not _is_installed(name, site)]
    if missing:
        result |= dict(status='skipped', detail=f'not installed: {", ".join(missing)}')
    else:
        start = time.monotonic()
        log = out / f'{step.name}.log'
        status, detail = _run(command, log, limit, _environment(site, rehearse))
        result |= dict(
            status=status, detail=detail or _last_line(log, status),
            seconds=round(time.monotonic() - start, 1),
        )  # fmt: skip
    path.write_text(json.dumps(result, indent=1))
    return result


def install(wheels: Path, out: Path) -> None:
    """Unpack wheels into a folder of this run's own, which only its steps see."""
    files = sorted(wheels.glob('*.whl'))
    if not files:
        raise SystemExit(f'--wheels expects a folder with *.whl files, {wheels} has none')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps',
         '--no-compile', '--upgrade', '--target', str(out / 'site'), *map(str, files)],
        check=True,
    )  # fmt: skip


def _environment(site: Path, rehearse: bool) -> dict[str, str]:
    paths = [str(ROOT), *([str(site)] if site.exists() else [])]
    if os.environ.get('PYTHONPATH'):
        paths.append(os.environ['PYTHONPATH'])
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(paths), 'PYTHONUNBUFFERED': '1'}
    if rehearse:
        environment['TRITON_INTERPRET'] = '1'
    return environment


def _is_installed(name: str, site: Path) -> bool:
    return importlib.machinery.PathFinder.find_spec(name, [*sys.path, str(site)]) is not None


def _run(command: list[str], log: Path, limit: float, environment: dict) -> tuple[str, str]:
    with log.open('w') as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its own processes can be ended with it
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return 'out of time', f'ended after {limit:.0f} s'
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return ('passed', '') if code == 0 else ('failed', '')


def _last_line(log: Path, status: str) -> str:
    """For a step that failed: what it said last."""
    lines = log.read_text(errors='replace').strip().splitlines()
    return lines[-1][:300] if lines and status == 'failed' else ''
