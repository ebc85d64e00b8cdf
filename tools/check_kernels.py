"""Build every Triton kernel ahead of time, without a GPU, and show what each one takes.

For every widths in kernels/shapes.py, dtype and architecture: registers, stack, local memory
(spills), shared memory. Exit status 1 where a kernel uses stack or local memory, more than 255
registers, or more shared memory than the chip has.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
    found = {name: int(value) for name, value in re.findall(r'(REG|STACK|LOCAL):(\d+)', text)}
    if set(found) != {'REG', 'STACK', 'LOCAL'}:
        raise RuntimeError(f'expected REG, STACK and LOCAL from {CUOBJDUMP}, got {text!r}')
    return found | {'SHARED': kernel.metadata.shared}


def rows(dtypes: list[str], capabilities: list[int], widths: list) -> Iterator[dict]:
    for K, V in widths:
        for dtype in dtypes:
            launches = launches_of(Shape(1, 200, 3, K, V), DTYPES[dtype])
            for capability in capabilities:
                built = {launch.build(capability): launch.name for launch in launches}
                for kernel, name in built.items():
                    used = resources(kernel)
                    short = (
                        used['STACK'] > 0
                        or used['LOCAL'] > 0
                        or used['REG'] > 255
                        or used['SHARED'] > SHARED_LIMIT[capability]
                    )
                    yield dict(
                        kernel=name, K=K, V=V, dtype=dtype, sm=capability, **used,
                        warps=kernel.metadata.num_warps, fits='no' if short else 'yes',
                    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=list(DTYPES))
    parser.add_argument('--sm', nargs='+', type=int, choices=SHARED_LIMIT, default=[80, 90])
    parser.add_argument('--widths', nargs='+', metavar='KxV', help='instead of those of the shapes')
    args = parser.parse_args()
    widths = sorted({(shape.K, shape.V) for shape in SHAPES.values()})
    if args.widths:
        widths = [tuple(map(int, pair.split('x'))) for pair in args.widths]
    failed = header = False
    for row in rows(args.dtypes, args.sm, widths):
        if not header:
            sys.stdout.write(f'| {" | ".join(row)} |\n|{"---|" * len(row)}\n')
            header = True
        sys.stdout.write(f'| {" | ".join(map(str, row.values()))} |\n')
        sys.stdout.flush()
        failed |= row['fits'] == 'no'
    sys.exit(int(failed))


if __name__ == '__main__':
    main()
