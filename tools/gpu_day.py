"""Measure mmvig on this machine's GPU: correctness, speed, memory, compilers, training.

    python tools/gpu_day.py --out gpu_day                  # everything, about 40 minutes
    python tools/gpu_day.py --out gpu_day --minutes 9      # what fits; the same command goes on
    python tools/gpu_day.py --out gpu_day --plan           # only says what would run
    python tools/gpu_day.py --out rehearsal --rehearse     # on a CPU, tiny, in minutes

Each step is a process with a log and a result in the folder; one that fails does not stop the
others. A second call runs only what is left. `report.md` is the page to read, `gpu_day.zip` holds
everything.
"""

import argparse
import signal
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_day import plan, processes, report


def main(argv: Sequence[str] | None = None) -> None:
    names = [step.name for step in plan.STEPS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('gpu_day'), help='folder of the results')
    parser.add_argument('--minutes', type=float, default=60, help='of this call; 60')
    parser.add_argument('--again', nargs='+', choices=names, default=[], help='run these once more')
    parser.add_argument('--only', nargs='+', choices=names, default=names, help='of all steps')
    parser.add_argument('--wheels', type=Path, help='folder of wheels to install for the steps')
    parser.add_argument('--rehearse', action='store_true', help='on a CPU, with tiny inputs')
    parser.add_argument('--plan', action='store_true', help='only print what would run')
    args = parser.parse_args(argv)
    deadline = time.monotonic() + 60 * args.minutes
    out = args.out.resolve()
    past = processes.results(out)
    mixed = [name for name, result in past.items() if result['rehearsal'] != args.rehearse]
    if mixed:
        kind = 'a rehearsal' if not args.rehearse else 'measurements'
        parser.error(f'{args.out} holds {kind} ({", ".join(mixed)}); choose another --out')
    steps = plan.order({name: result['status'] for name, result in past.items()}, args.again)
    steps = [step for step in steps if step.name in args.only]
    say_plan(steps, args.minutes, args.rehearse)
    if args.plan:
        return
    if not (args.rehearse or torch.cuda.is_available()):
        sys.exit('torch sees no GPU here; --rehearse tries everything on a CPU with tiny inputs')
    out.mkdir(parents=True, exist_ok=True)
    if args.wheels:
        processes.install(args.wheels, out)
    # Ended by a time limit from outside, this process ends its step too.
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run_all(steps, out, deadline, args.rehearse)
    finally:
        signal.signal(signal.SIGTERM, former)
    finish(out, args)


def say_plan(steps: list[plan.Step], minutes: float, rehearse: bool) -> None:
    chosen, rest = plan.fit(steps, minutes, rehearse)
    total = sum(step.expected(rehearse) for step in chosen)
    sys.stdout.write(f'{len(chosen)} steps, about {total:g} of {minutes:g} minutes:\n')
    for step in chosen:
        sys.stdout.write(f'  {step.expected(rehearse):4g} min  {step.name}: {step.title}\n')
    if rest:
        sys.stdout.write(f'  then, in another call: {", ".join(step.name for step in rest)}\n')
    sys.stdout.flush()


def run_all(steps: list[plan.Step], out: Path, deadline: float, rehearse: bool) -> None:
    """Run the steps that still fit when their turn comes."""
    for step in steps:
        left = deadline - time.monotonic()
        if 60 * step.expected(rehearse) > left:
            continue
        result = processes.run(step, out, min(60 * step.limit, left), rehearse)
        said = f': {result["detail"]}' if result['detail'] else ''
        sys.stdout.write(f'{step.name}: {result["status"]} in {result["seconds"]:g} s{said}\n')
        sys.stdout.flush()
        report.write(out)


def finish(out: Path, args: argparse.Namespace) -> None:
    """The report, the archive, and how to go on."""
    page = report.write(out)
    with zipfile.ZipFile(out / 'gpu_day.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for pattern in ('*.md', '*.csv', '*.json', '*.log', '*.txt'):
            for path in sorted(out.glob(pattern)):
                archive.write(path, path.name)
    sys.stdout.write(f'\n{page}\nresults: {out / "gpu_day.zip"}\n')
    past = {name: result['status'] for name, result in processes.results(out).items()}
    left = [step.name for step in plan.order(past) if step.name in args.only]
    if left:
        options = ' --rehearse' if args.rehearse else ''
        sys.stdout.write(
            f'left: {", ".join(left)}; go on with '
            f'`python tools/gpu_day.py --out {args.out} --minutes {args.minutes:g}{options}`\n'
        )
    sys.exit(int('failed' in past.values()))


if __name__ == '__main__':
    main()
