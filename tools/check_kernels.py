"""Build every Triton kernel ahead of time, without a GPU, and show what each one takes.

For all widths in kernels/shapes.py, dtypes, gates (logits, or float32) and architectures:
registers, stack, local memory (spills), shared memory. Exit status 1 where a kernel uses stack or
local memory, more than 255 registers, or more shared memory than the chip has.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
import triton
from kernel_builds import launches_of
from triton.compiler import CompiledKernel

from mmvig.kernels.shapes import SHAPES, Shape

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
CUOBJDUMP = Path(triton.__file__).parent / 'backends/nvidia/bin/cuobjdump'


def resources(kernel: CompiledKernel) -> dict[str, int]:
    """REG, STACK, LOCAL and SHARED of a compiled kernel, as cuobjdump prints them."""
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(kernel.asm['cubin'])
        file.flush()
        text = subprocess.run(
            [CUOBJDUMP, '--dump-resource-usage', file.name], capture_output=True, text=True
        ).stdout
    used = {name: int(value) for name, value in re.findall(r'(REG|STACK|LOCAL):(\d+)', text)}
    if set(used) != {'REG', 'STACK', 'LOCAL'}:
        raise RuntimeError(f'expected REG, STACK and LOCAL from {CUOBJDUMP}, got {text!r}')
    return used | {'SHARED': kernel.metadata.shared}


def rows(dtypes: list[str], capabilities: list[int], widths: list) -> Iterator[dict]:
    for K, V in widths:
        for dtype in dtypes:
            shape = Shape(1, 200, 3, K, V)
            launches = {
                gates: launches_of(shape, DTYPES[dtype], logits=gates == 'logits')
                for gates in ('logits', 'float32')
            }
            launches['logits'] += launches_of(shape, DTYPES[dtype], states=True)
            for capability in capabilities:
                # Launches that share a kernel are one row.
                built = {}
                for gates, launched in launches.items():
                    for launch in launched:
                        built.setdefault(launch.build(capability), (launch.name, gates))
                for kernel, (name, gates) in built.items():
                    used = resources(kernel)
                    fits = (
                        used['STACK'] == used['LOCAL'] == 0
                        and used['REG'] <= 255
                        and used['SHARED'] <= SHARED_LIMIT[capability]
                    )
                    yield dict(
                        kernel=name, K=K, V=V, dtype=dtype, gates=gates, sm=capability, **used,
                        warps=kernel.metadata.num_warps, fits='yes' if fits else 'no',
                    )  # fmt: skip


def summary(table: list[dict]) -> Iterator[dict]:
    """One row per kernel: the largest of each number over all builds."""
    names = dict.fromkeys(row['kernel'].partition(' of ')[0] for row in table)
    for name in names:
        builds = [row for row in table if row['kernel'].partition(' of ')[0] == name]
        yield dict(
            kernel=name,
            builds=len(builds),
            **{key: max(row[key] for row in builds) for key in ('REG', 'STACK', 'LOCAL', 'SHARED')},
            warps=', '.join(map(str, sorted({row['warps'] for row in builds}))),
            fits='yes' if all(row['fits'] == 'yes' for row in builds) else 'no',
        )


def show(table: Iterable[dict]) -> list[dict]:
    """Print rows as a Markdown table, each as soon as it is there; returns them."""
    shown = []
    for row in table:
        if not shown:
            sys.stdout.write(f'| {" | ".join(row)} |\n|{"---|" * len(row)}\n')
        sys.stdout.write(f'| {" | ".join(map(str, row.values()))} |\n')
        sys.stdout.flush()
        shown.append(row)
    return shown


def write(table: list[dict], path: Path) -> None:
    """Write rows as CSV, with the version of the Triton that built them."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [*table[0], 'triton'], lineterminator='\n')
        writer.writeheader()
        writer.writerows(row | {'triton': triton.__version__} for row in table)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=list(DTYPES))
    parser.add_argument('--sm', nargs='+', type=int, choices=SHARED_LIMIT, default=[80, 90])
    parser.add_argument('--widths', nargs='+', metavar='KxV', help='instead of those of the shapes')
    parser.add_argument('--summary', action='store_true', help='then a row per kernel')
    parser.add_argument('--csv', type=Path, help='also write the rows to this file')
    args = parser.parse_args(argv)
    widths = sorted({(shape.K, shape.V) for shape in SHAPES.values()})
    if args.widths:
        widths = [tuple(map(int, pair.split('x'))) for pair in args.widths]
    table = show(rows(args.dtypes, args.sm, widths))
    if args.summary:
        sys.stdout.write('\n')
        show(summary(table))
    if args.csv:
        write(table, args.csv)
    sys.exit(int(any(row['fits'] == 'no' for row in table)))


if __name__ == '__main__':
    main()
