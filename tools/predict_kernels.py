"""Predict the time of every Triton kernel from its machine code, without a GPU.

    python tools/predict_kernels.py --csv benchmarks/results/kernel_predictions.csv
    python tools/predict_kernels.py --mix      # first the instructions of a tile

A kernel takes the longest of three times: moving its bytes through the chip's memory, issuing its
instructions, and waiting for them, as warps issue in order and only so many fit a processor. The
sum over a call's kernels is to be compared with `benchmarks/kernel.py`, whose calls these are: 16-
bit q, k and v, gates in float32. `over_bytes` is the ratio to the bytes that a call must move at
the chip's nominal bandwidth.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from check_kernels import resources, show, write
from chip_model import CHIPS, Chip, cycles, latency, resident
from kernel_builds import Launch, recorded
from kernel_code import Code, Instruction, Trips, disassemble, run_order
from triton.compiler import CompiledKernel

from mmvig.kernels import triton as triton_backend
from mmvig.kernels.shapes import SHAPES, Shape
from mmvig.kernels.triton import SCAN_CHUNKS
from mmvig.kernels.triton.tiles import LEVELS, NS

CAPABILITY = 90
DTYPES = {'bfloat16': torch.bfloat16, 'float32': torch.float32}
LONG = 16_384
MIX = {
    'tensor cores': ('HMMA', 'HGMMA'), 'global loads': ('LDG',), 'global stores': ('STG',),
    'shared loads': ('LDS', 'LDSM'), 'shared stores': ('STS',), 'shuffles': ('SHFL',),
    'exp, log, …': ('MUFU',), 'barriers': ('BAR',), 'spills': ('LDL', 'STL'),
}  # fmt: skip


class Prediction(NamedTuple):
    """Of one launch: its longest time in µs, and which it is."""

    kernel: str
    us: float
    bound: str


def trips(launch: Launch) -> Trips:
    """How often the kernels' loops run. The walks of both directions to a sub-chunk pass all others
    of its chunk together."""
    args, chunk = launch.arguments, NS.value
    walk = (chunk // 2 - 1, chunk - chunk // 2)
    counts = {
        'pair_gradients': (LEVELS.value,), 'add_scores': (LEVELS.value,), 'chunk_state': (chunk,),
        'advance_state': walk, 'state_before': walk,
        'bi_gla_kernel_scan': (max(1, -(-args['N'] // SCAN_CHUNKS)),),
    }  # fmt: skip
    tiles = -(-args['V'] // args['BV']) if 'BV' in args else 1
    return Trips(counts, outer=tiles, returns=args.get('REST', False))


def programs(launch: Launch) -> int:
    """Of the launch's grid."""
    total = 1
    for size in launch.grid:
        total *= size
    return total


def moved(launch: Launch) -> int:
    """Bytes of all tensors of a launch, each once; those it adds to, twice."""
    args = launch.arguments
    if args.get('REST'):  # no chunk is left
        return args['p_decay'].nbytes
    unused = [name for name in ('fwd', 'bwd') if not args.get(f'HAS_{name.upper()}', True)]
    unused = {f'p_{d}g{name[0]}' for name in unused for d in ('', 'd')}
    names = [name for name in args if name.startswith('p_') and name not in unused]
    tensors = {id(args[name]): args[name].nbytes for name in names}
    added = ('p_dq', 'p_dk', 'p_dv') if args.get('ADD') else ()
    return sum(tensors.values()) + sum(args[name].nbytes for name in added if name in args)


class Built(NamedTuple):
    """A kernel's code, and what limits how many of its programs fit a processor."""

    code: Code
    warps: int
    resident: int


@cache
def built(kernel: CompiledKernel) -> Built:
    used, warps = resources(kernel), kernel.metadata.num_warps
    return Built(disassemble(kernel), warps, resident(used['REG'], used['SHARED'], warps))


def predict(launch: Launch, chip: Chip) -> Prediction:
    code, warps, at_once = built(launch.build(CAPABILITY))
    busy, waiting = _cycles(launch)
    per_processor = max(1.0, programs(launch) / chip.processors)
    times = {
        'bytes': moved(launch) / chip.bandwidth,
        'issue': per_processor * warps * busy / chip.clock,
        'latency': max(1.0, per_processor / at_once) * waiting / chip.clock,
    }
    bound = max(times, key=times.get)
    return Prediction(launch.name.removeprefix('bi_gla_kernel_'), 1e6 * times[bound], bound)


_KNOWN: dict[tuple, tuple[float, float]] = {}


def _cycles(launch: Launch) -> tuple[float, float]:
    """Cycles that one warp keeps a processor busy, and cycles until a program ends."""
    kernel = launch.build(CAPABILITY)
    counted = trips(launch)
    key = kernel, tuple(counted.by_function.items()), counted.outer
    if key not in _KNOWN:
        order = list(run_order(built(kernel).code, counted))
        _KNOWN[key] = cycles(order), latency(order)
    return _KNOWN[key]


def launches(shape: Shape, dtype: torch.dtype) -> dict[str, list[Launch]]:
    """Of the calls that `benchmarks/kernel.py` makes, by its mode."""
    B, T, H, K, V = shape
    q, k, gf, gb = (torch.empty(B, T, H, K, dtype=dtype) for _ in range(4))
    gf, gb = gf.float(), gb.float()
    v = torch.empty(B, T, H, V, dtype=dtype)
    with recorded() as forward:
        triton_backend.triton_forward(q, k, v, gf, gb, 1.0)
    with recorded() as backward:
        triton_backend.triton_backward(torch.empty_like(v), q, k, v, gf, gb, 1.0)
    return {'forward': forward, 'forward+backward': [*forward, *backward]}


def least_bytes(shape: Shape, dtype: torch.dtype, mode: str) -> int:
    """As `io_bytes` of `benchmarks/kernel.py` counts."""
    B, T, H, K, V = shape
    inputs = B * T * H * ((2 * K + V) * dtype.itemsize + 2 * K * 4)
    output = B * T * H * V * dtype.itemsize
    return inputs + output if mode == 'forward' else 3 * inputs + 2 * output


def rows(shapes: Sequence[Shape], dtypes: Sequence[str], chips: Sequence[str]) -> Iterator[dict]:
    for shape in shapes:
        for dtype in dtypes:
            for mode, made in launches(shape, DTYPES[dtype]).items():
                for chip in chips:
                    yield _row(shape, dtype, mode, made, chip)


def _row(shape: Shape, dtype: str, mode: str, made: list[Launch], chip: str) -> dict:
    found = [predict(launch, CHIPS[chip]) for launch in made]
    us = sum(x.us for x in found) + len(made) * CHIPS[chip].launch_us
    least = 1e6 * least_bytes(shape, DTYPES[dtype], mode) / CHIPS[chip].bandwidth
    slowest = max(found, key=lambda x: x.us)
    return dict(
        mode=mode, **shape._asdict(), dtype=dtype, chip=chip, predicted_us=round(us, 1),
        over_bytes=round(us / least, 2), bytes_us=round(least, 1), slowest=slowest.kernel,
        of_time=round(slowest.us / us, 2), bound=slowest.bound, measured_us='',
    )  # fmt: skip


def mix(shape: Shape, dtype: str) -> Iterator[dict]:
    """What one warp of each kernel runs for one tile."""
    seen = set()
    for launch in launches(shape, DTYPES[dtype])['forward+backward']:
        kernel = launch.build(CAPABILITY)
        if kernel in seen:
            continue
        seen.add(kernel)
        order = list(run_order(built(kernel).code, trips(launch)))
        busy, waiting = _cycles(launch)
        used = resources(kernel)
        yield dict(
            kernel=launch.name.removeprefix('bi_gla_kernel_'), dtype=dtype,
            warps=built(kernel).warps, registers=used['REG'], shared=used['SHARED'],
            at_once=built(kernel).resident, instructions=len(order),
            **{name: _count(order, codes) for name, codes in MIX.items()},
            issue_cycles=round(busy), latency_cycles=round(waiting),
        )  # fmt: skip


def _count(order: list[Instruction], opcodes: Sequence[str]) -> str:
    """Of these instructions; with their widths in bits where they are loads or stores."""
    found = [x for x in order if x.opcode in opcodes]
    if not found or not set(opcodes) & {'LDG', 'STG', 'LDS', 'STS'}:
        return str(len(found))
    widths = Counter(_bits(x) for x in found)
    return ' + '.join(f'{count} of {bits}' for bits, count in sorted(widths.items()))


def _bits(x: Instruction) -> int:
    narrow = {'U8': 8, 'S8': 8, 'U16': 16, 'S16': 16}
    return next((narrow[part] for part in x.name.split('.') if part in narrow), 32 * x.width)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--shapes', nargs='+', choices=SHAPES, default=list(SHAPES))
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=list(DTYPES))
    parser.add_argument('--chips', nargs='+', choices=CHIPS, default=list(CHIPS))
    parser.add_argument('--mix', action='store_true', help='first the instructions of a tile')
    parser.add_argument('--csv', type=Path, help='also write the rows to this file')
    args = parser.parse_args(argv)
    shapes = [SHAPES[name] for name in args.shapes]
    if args.mix:
        show(row for dtype in args.dtypes for row in mix(shapes[0], dtype))
        sys.stdout.write('\n')
    table = show(rows(shapes, args.dtypes, args.chips))
    if args.csv:
        write(table, args.csv)


if __name__ == '__main__':
    main()
