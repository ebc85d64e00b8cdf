"""What a CPU is and how fast it multiplies matrices, which every row of a CPU says.

Many processors have the same name, and which product is fast depends on more than that: AVX-512 is
computed in halves by some, MKL does not use it on those of AMD, and bfloat16 is imitated by those
that have no instructions for it.
"""

import functools
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvig.ops import processor

VENDORS = {'AuthenticAMD': 'AMD', 'GenuineIntel': 'Intel'}
COLUMNS = ('cpu', 'vectors', 'gflops_mkl', 'gflops_onednn', 'gflops_bfloat16')
TOKENS, CHANNELS = 2048, 768  # of the product that is measured
ROUNDS = 5


@functools.cache
def describe_cpu(device: str = 'cpu') -> dict[str, object]:
    """The columns, measured once per process at its number of threads; empty for a GPU.

    The rates are those of x Wᵀ in float32 by MKL (which linear layers of torch call) and by oneDNN
    (which those of mmvig may call), and in bfloat16: the best of a few rounds, in GFLOP/s.
    """
    if device != 'cpu':
        return dict.fromkeys(COLUMNS, '')
    found = processor.describe()
    vendor = found.get('vendor_id', '')
    name = f'{VENDORS.get(vendor, vendor)} family {found.get("cpu family")} model'
    x = torch.randn(TOKENS, CHANNELS)
    weight = torch.randn(CHANNELS, CHANNELS)
    rates = dict(
        gflops_mkl=_rate(F.linear, x, weight) if torch.backends.mkl.is_available() else '',
        gflops_onednn=_rate(_by_onednn, x, weight) if torch.backends.mkldnn.is_available() else '',
        gflops_bfloat16=_rate(F.linear, x.bfloat16(), weight.bfloat16()),
    )
    return dict(cpu=f'{name} {found.get("model")}' if vendor else '', vectors=vectors()) | rates


def vectors() -> str:
    """The widest registers that torch uses, and whether they are computed in halves if known."""
    if not processor.uses_avx512():
        return torch.backends.cpu.get_cpu_capability()
    if family := processor.amd_family():
        return 'AVX512 in halves' if family < 26 else 'AVX512 at once'
    if processor.describe().get('vendor_id') == 'GenuineIntel':
        return 'AVX512 at once'
    return 'AVX512'


def _by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, 'none', [], '')


@torch.no_grad()
def _rate(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> int:
    product(x, weight)
    best = float('inf')
    for _ in range(ROUNDS):
        start = time.perf_counter()
        product(x, weight)
        best = min(best, time.perf_counter() - start)
    return round(2 * TOKENS * weight.numel() / best / 1e9)
