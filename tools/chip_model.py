"""What a Hopper GPU needs for a list of instructions: issue slots, latencies, programs at once.

Rates per cycle and processor are of NVIDIA's tables for compute capability 9.0 (CUDA C++
Programming Guide, arithmetic instructions); latencies are rounded from microbenchmarks (arXiv
2402.13499) and the guide's ranges. They are assumptions: measured times test them. That of HGMMA is
without a source: 16 cycles, and the time that the pipe needs for the columns.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from kernel_code import Instruction


class Chip(NamedTuple):
    """Nominal memory bandwidth in bytes/s, boost clock in Hz, µs that each launch adds."""

    bandwidth: float
    processors: int = 132
    clock: float = 1.755e9
    launch_us: float = 2.0


CHIPS = {'H100': Chip(3.35e12), 'H200': Chip(4.8e12)}

REGISTERS, SHARED, WARPS, PROGRAMS = 65536, 227 * 1024, 64, 32
# Cycles that a warp's instruction takes of a processor's pipe of that name.
_FLOAT = ('FADD', 'FMUL', 'FFMA', 'HADD2', 'HFMA2', 'MOV')
_MEMORY = ('LDG', 'STG', 'LDS', 'STS', 'LDSM', 'SHFL', 'LDL', 'STL')
_SLOW = ('MUFU', 'I2F', 'F2I', 'F2F', 'I2I', 'POPC', 'FLO', 'S2R', 'S2UR', 'R2UR', 'LDC', 'ULDC')
LATENCIES = {
    'LDG': 270, 'LDS': 29, 'LDSM': 33, 'LDC': 40, 'SHFL': 23, 'MUFU': 20, 'HMMA': 33, 'HGMMA': 16,
    'S2R': 20, 'S2UR': 20, 'R2UR': 12, 'I2F': 14, 'F2I': 14, 'BAR': 30,
}  # fmt: skip
FIRST_LEVEL = 41  # a load that an earlier one has brought into the processor's own cache


def pipe(x: Instruction) -> tuple[str, float]:
    """The pipe of a processor that an instruction takes, and for how many cycles."""
    if x.opcode == 'HMMA':
        # One at the nominal rate, m16n8k8 in tf32 or m16n8k16 in 16 bits; mma.sync reaches 0.6.
        return 'tensor', 1.6
    if x.opcode == 'HGMMA':
        return 'tensor', x.columns / 8  # a warp's quarter of m64, k8 or k16, at the nominal rate
    if x.opcode in _MEMORY:
        return 'memory', float(x.width)
    if x.opcode in _SLOW:
        return 'slow', 2.0
    if x.opcode in _FLOAT:
        return 'float', 0.25
    if x.opcode.startswith('U'):
        return 'uniform', 0.25
    return 'integer', 0.5


def cycles(order: Sequence[Instruction]) -> float:
    """Cycles of a processor for one warp: of its busiest pipe, or of the four that issue."""
    busy = defaultdict(float)
    for x in order:
        name, taken = pipe(x)
        busy[name] += taken
    return max(len(order) / 4, *busy.values())


def latency(order: Sequence[Instruction]) -> float:
    """Cycles from the first instruction to the last of one warp that has the processor to itself.

    It issues in order, each instruction once its registers are there. Where a loop repeats a load,
    the row of a token stands in a line of the cache that the row before has brought.
    """
    ready: dict[str, float] = defaultdict(float)
    free: dict[str, float] = defaultdict(float)
    seen: set[int] = set()
    now = last = products = 0.0
    for x in order:
        reads, writes = x.reads_and_writes()
        name, taken = pipe(x)
        now = max(now + 1, free[name], *(ready[r] for r in reads)) if reads else now + 1
        free[name] = now + 4 * taken if name != 'memory' else now + taken
        took = LATENCIES.get(x.opcode, 5)
        if x.opcode == 'HGMMA':
            took += x.columns / 2  # four warps' parts
        if x.opcode == 'LDG':
            took = FIRST_LEVEL if id(x) in seen else took
            seen.add(id(x))
        if x.opcode == 'BAR':
            now += took
        if x.name.startswith('WARPGROUP.DEPBAR'):  # waits for the products that are under way
            now = max(now, products)
        if x.opcode == 'HGMMA':
            products = max(products, now + took)
        for register in writes:
            ready[register] = now + took
        last = max(last, now + took)
    return last


def resident(registers: int, shared: int, warps: int) -> int:
    """Programs that fit one processor at once."""
    by_registers = REGISTERS // (-(-registers // 8) * 8 * 32 * warps)
    by_shared = SHARED // (shared + 1024)
    return max(1, min(by_registers, by_shared, WARPS // warps, PROGRAMS))
