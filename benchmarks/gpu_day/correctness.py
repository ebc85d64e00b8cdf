"""The Triton kernels on this GPU: every call against float64, equal runs, 64-bit offsets, compiles.

python -m benchmarks.gpu_day.correctness --csv correctness.csv
TRITON_INTERPRET=1 python -m benchmarks.gpu_day.correctness --csv correctness.csv --small
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import torch

from benchmarks.gpu_day.calls import Call, calls, part_of_budget, run
from benchmarks.rows import keep, origin
from mmvig.kernels import bi_gla
from mmvig.kernels import triton as triton_backend
from mmvig.kernels.shapes import SHAPES, Shape

KEY = ('check', 'B', 'T', 'H', 'K', 'V', 'dtype', 'directions', 'gates', 'layout')
SHOWN = ('result', *KEY, 'of_budget', 'detail')
FAR = 2**31  # elements, beyond the offsets of 32 bits
WINDOW, CONTEXT = 2048, 1024  # gates of -1 decay to nothing within the context


class CannotRunHereError(Exception):
    """The machine cannot run a check."""


def against_float64(call: Call, device: str) -> float:
    return part_of_budget(call, device)


def equal_runs(call: Call, device: str) -> float:
    """How many of the results of two runs differ in any bit."""
    tensors = call.tensors(device)
    first, second = (run(call, tensors, 'triton') for _ in range(2))
    return float(sum(not torch.equal(x, first[name]) for name, x in second.items()))


def sixty_four_bit_strides(call: Call, device: str) -> float:
    """Tokens so far apart that the last one lies past 2³¹ elements of one buffer."""
    B, T, H, K, V = call.shape
    widths = [K, K, V, K, K, V]
    step = FAR // (T - 1) + H * sum(widths)
    _require(device, 2 * (step * T + 1) * 2)
    buffer = torch.zeros(T, step, dtype=torch.bfloat16, device=device)
    packed, first = {}, 0
    for (name, x), D in zip(call.tensors(device).items(), widths, strict=True):
        view = buffer[:, first : first + H * D].view(1, T, H, D)
        view.copy_(x)
        packed[name], first = view, first + H * D
    plain = run(call, call.tensors(device), 'triton')
    return float(sum(not torch.equal(x, plain[n]) for n, x in run(call, packed, 'triton').items()))


def many_elements(call: Call, device: str) -> float:
    """More than 2³¹ elements in each tensor: the last tokens against a call of their own.

    Both ends of the window are exact: gates are -1, so what stands CONTEXT tokens away is gone.
    """
    B, T, H, K, V = call.shape
    size = 2 * B * T * H * (3 * K + 2 * V)  # q, k, a gate for both directions, v, the output
    states = 2 * 2 * 4 * B * (T // 64) * H * K * (V + 1)
    _require(device, size + states)
    make = {'device': device, 'dtype': torch.bfloat16}
    q, k = (torch.empty(B, T, H, K, **make).normal_() for _ in range(2))
    v = torch.empty(B, T, H, V, **make).normal_()
    gate = torch.full((B, T, H, K), -1.0, **make)
    out = bi_gla(q, k, v, gate, gate, backend='triton')
    end = slice(T - WINDOW - CONTEXT, T)
    tail = [x[:, end].float() for x in (q, k, v, gate, gate)]
    expected = bi_gla(*tail, backend='chunked')[:, CONTEXT:]
    error = (out[:, T - WINDOW :].float() - expected).abs().max() / expected.abs().max()
    return error.item() / (2 * torch.finfo(torch.bfloat16).eps)


def compilations(call: Call, device: str) -> float:
    """Kernels beyond six that fifty lengths compile: state and scan twice, output, gradients."""
    if triton_backend.INTERPRETED:
        raise CannotRunHereError('the interpreter compiles nothing')
    compiled = set()

    class Recorder:
        def __init__(self, kernel) -> None:
            self.kernel = kernel

        def __getitem__(self, grid) -> Callable:
            return lambda **arguments: compiled.add(self.kernel[grid](**arguments))

    names = [name for name in vars(triton_backend) if name.startswith('bi_gla_kernel_')]
    recorders = {name: Recorder(getattr(triton_backend, name)) for name in names}
    rng = random.Random(0)
    lengths = [1, 2, 16, *rng.sample(range(3, 20_000), 47)]
    with mock.patch.multiple(triton_backend, **recorders):
        for i, T in enumerate(lengths):
            shape = call.shape._replace(B=1 + i % 2, T=T, H=1 + i % 3)
            other = call._replace(shape=shape)
            run(other, other.tensors(device), 'triton')
    return float(len(compiled) - 6)


def _require(device: str, needed: int) -> None:
    free = torch.cuda.mem_get_info()[0] if device == 'cuda' else 2**20
    if needed > 0.95 * free:
        raise CannotRunHereError(f'needs {needed / 2**30:.0f} GiB, {free / 2**30:.0f} GiB are free')


def checks(small: bool) -> Iterator[tuple[Callable[[Call, str], float], Call, float]]:
    """Each check with the largest number that passes."""
    repeated = Shape(1, 3, 1, 5, 7) if small else SHAPES['coco-800x1344-stage2']
    for dtype in ('bfloat16',) if small else ('float32', 'bfloat16', 'float16'):
        yield equal_runs, Call(repeated, dtype), 0
    yield compilations, Call(Shape(1, 1, 1, 16, 32), 'bfloat16'), 0
    yield from ((against_float64, call, 1) for call in calls(small))
    yield sixty_four_bit_strides, Call(Shape(1, 4096, 2, 16, 32), 'bfloat16', gates='mixed'), 0
    yield many_elements, Call(Shape(1, 2**25 + 4096, 4, 16, 32), 'bfloat16', gates=-1.0), 1


def measure(device: str, small: bool) -> Iterator[dict]:
    for check, call, most in checks(small):
        start, detail, value = time.monotonic(), '', ''
        try:
            value = check(call, device)
            result = 'passed' if value <= most else 'failed'
        except CannotRunHereError as reason:
            result, detail = 'left out', str(reason)
        except torch.cuda.OutOfMemoryError as error:
            result, detail = 'left out', str(error).splitlines()[0]
        except Exception as error:  # one broken call must not hide what the others say
            result, detail = 'failed', f'{type(error).__name__}: {" ".join(str(error).split())}'
        if device == 'cuda' and detail:
            torch.cuda.empty_cache()
        yield dict(
            result=result, check=check.__name__, **call.shape._asdict(), dtype=call.dtype,
            directions=call.directions, gates=call.gates, layout=call.layout,
            of_budget=round(value, 4) if value != '' else '', detail=detail[:300],
            seconds=round(time.monotonic() - start, 2), **origin(),
        )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--small', action='store_true', help='few, tiny calls')
    args = parser.parse_args(argv)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    failed = []

    def noted(rows: Iterator[dict]) -> Iterator[dict]:
        for row in rows:
            if row['result'] == 'failed':
                failed.append(row)
            yield row

    keep(args.csv, noted(measure(device, args.small)), KEY, SHOWN)
    if failed:
        sys.exit(f'{len(failed)} checks failed, the first: {failed[0]}')


if __name__ == '__main__':
    main()
