"""Options that the benchmarks share."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
MODES = ('forward', 'forward+backward')


def make_parser(doc: str, runs: int) -> argparse.ArgumentParser:
    """A parser with device, precision, number of runs and the file of the rows.

    Args:
        doc: docstring of the benchmark; its first line is the description.
        runs: default of --runs.
    """
    parser = argparse.ArgumentParser(description=doc.split('\n')[0])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--dtype', choices=DTYPES)
    parser.add_argument('--runs', type=int, default=runs, help=f'rounds per number; {runs}')
    parser.add_argument('--csv', type=Path, required=True, help='file that keeps the rows')
    return parser


def parse_args(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, gpu_dtype: str
) -> argparse.Namespace:
    """Parsed options; the precision is float32 on CPUs and `gpu_dtype` on GPUs unless given."""
    args = parser.parse_args(argv)
    args.dtype = args.dtype or (gpu_dtype if args.device == 'cuda' else 'float32')
    return args
