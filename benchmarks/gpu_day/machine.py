"""What the machine is, and the two ceilings of its GPU: memory bandwidth and matrix products."""

import argparse
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import torch

from benchmarks.kernel import copy_bandwidth
from benchmarks.options import DTYPES
from benchmarks.rows import device_name, keep, origin
from benchmarks.timing import Timer

PACKAGES = ('torchvision', 'timm', 'flash-linear-attention', 'fla-core', 'mmengine',
            'onedl-mmengine', 'mmcv', 'onedl-mmcv', 'numpy', 'pytest', 'hypothesis')  # fmt: skip


def facts(device: str) -> Iterator[tuple[str, str]]:
    yield 'device', device_name(device)
    yield 'system', f'{platform.platform()}, Python {platform.python_version()}'
    if device == 'cuda':
        properties = torch.cuda.get_device_properties(0)
        yield 'memory GiB', f'{properties.total_memory / 2**30:.1f}'
        yield 'multiprocessors', str(properties.multi_processor_count)
        yield 'capability', f'{properties.major}.{properties.minor}'
        yield 'driver', _driver()
        yield 'CUDA of torch', str(torch.version.cuda)
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, 'none'


def _driver() -> str:
    query = ['nvidia-smi', '--query-gpu=driver_version,clocks.max.sm', '--format=csv,noheader']
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f'unknown ({error})'


def product_rate(dtype: torch.dtype, device: str, timer: Timer) -> float:
    """Operations per second of a large matrix product, on random numbers: zeros run faster."""
    n = 8192 if device == 'cuda' else 128
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / (statistics.median(timer(lambda: a @ b) for _ in range(10)) / 1e3)


def measure(device: str) -> Iterator[dict]:
    timer = Timer(device, queued=True)
    rows = [*facts(device), ('copy GB/s', f'{copy_bandwidth(device, timer) / 1e9:.0f}')]
    for name, dtype in DTYPES.items():
        rate = product_rate(dtype, device, timer) / 1e12
        rows.append((f'products {name} TFLOP/s', f'{rate:.3g}'))
    for name, value in rows:
        yield dict(fact=name, value=value) | origin()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--device', default='cuda')
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('torch sees no GPU here')
    keep(args.csv, measure(args.device), ('fact',), ('fact', 'value'))


if __name__ == '__main__':
    main()
