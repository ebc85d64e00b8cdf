"""What this machine's processor is, as far as it decides which code is fast on it."""

import functools
from pathlib import Path

import torch

CPUINFO = Path('/proc/cpuinfo')


@functools.cache
def describe() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo by name; empty where there is no such."""
    try:
        text = CPUINFO.read_text()
    except OSError:
        return {}
    lines = text.split('\n\n')[0].splitlines()
    pairs = (line.partition(':') for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def amd_family() -> int:
    """The family of a processor of AMD: 25 is Zen 3 and 4, 26 is Zen 5; 0 for others'."""
    found = describe()
    return int(found.get('cpu family', 0)) if found.get('vendor_id') == 'AuthenticAMD' else 0


@functools.cache
def uses_avx512() -> bool:
    """Whether torch uses AVX-512, which the processor has then."""
    return torch.backends.cpu.get_cpu_capability() == 'AVX512'


def multiplies_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16, or nobody says what it has."""
    found = describe()
    flags = f'{found.get("flags", "")} {found.get("Features", "")}'.split()
    return not flags or not {'avx512_bf16', 'amx_bf16', 'bf16'}.isdisjoint(flags)
