"""`torch.compile` of a whole backbone: its error, its time beside eager, compilations over sizes.

python -m benchmarks.gpu_day.compiled --csv compiled.csv
"""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from benchmarks.backbone import step
from benchmarks.models import BUILDERS
from benchmarks.options import DTYPES, MODES
from benchmarks.rows import device_name, keep, origin
from benchmarks.timing import Timer

KEY = ('check', 'model', 'mode', 'dtype', 'height', 'width')
SHOWN = (*KEY, 'ms', 'vs_eager', 'error', 'graphs')


def outputs(model: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return list(model(images))


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(
        ((x.double() - y.double()).abs().max() / y.double().abs().max()).item()
        for x, y in zip(found, expected, strict=True)
    )


def many_sizes(model: nn.Module, device: str, count: int, backend: str) -> tuple[float, int]:
    """The largest error over images of many sizes, and the graphs that they compile."""
    torch.compiler.reset()
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    errors = []
    for i in range(count):
        image = torch.randn(1, 3, 33 + 41 * i % 230, 64 + 97 * i % 430, device=device)
        errors.append(relative_error(outputs(compiled, image), outputs(model, image)))
    return max(errors), counter.frame_count


def measure(args: argparse.Namespace, device: str) -> Iterator[dict]:
    name = 'vig-nano' if args.small else 'vig-tiny'
    backend = 'eager' if args.small else 'inductor'  # the small run traces, and compiles nothing
    side, runs = (64, 1) if args.small else (512, 10)
    model = BUILDERS[name]().to(device).eval()
    image = torch.randn(2, 3, side, side, device=device)
    timer = Timer(device)
    same = dict(model=name, device=device_name(device))
    for dtype in ['float32'] if args.small else ['bfloat16', 'float32']:
        for mode in MODES:
            torch.compiler.reset()
            compiled = torch.compile(model, backend=backend, fullgraph=True)
            error = ''
            if (dtype, mode) == ('float32', 'forward'):  # under autocast both round differently
                error = f'{relative_error(outputs(compiled, image), outputs(model, image)):.1e}'
            calls = [partial(step, m, image, mode, DTYPES[dtype]) for m in (compiled, model)]
            for call in calls:
                call()
            rounds = [[timer(call) for call in calls] for _ in range(runs)]
            yield dict(
                check='one size', mode=mode, dtype=dtype, height=side, width=side, **same,
                ms=round(statistics.median(r[0] for r in rounds), 3),
                vs_eager=round(statistics.median(r[0] / r[1] for r in rounds), 3),
                error=error, graphs='', **origin(),
            )  # fmt: skip
    count = 2 if args.small else 20
    error, graphs = many_sizes(model, device, count, backend)
    yield dict(
        check=f'{count} sizes', mode='forward', dtype='float32', height='', width='', **same,
        ms='', vs_eager='', error=f'{error:.1e}', graphs=graphs, **origin(),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--small', action='store_true', help='a small model, traced only')
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    keep(args.csv, measure(args, device), KEY, SHOWN)


if __name__ == '__main__':
    main()
