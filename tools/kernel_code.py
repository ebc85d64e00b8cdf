"""The machine code of a compiled kernel as a list of instructions, and the order they run in.

Triton writes source lines into the code, and leaves loops as loops. So each loop is known by the
function that stands in it, and how often it runs follows from the source: `TRIPS`.
"""

import ast
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import triton
from triton.compiler import CompiledKernel

BIN = Path(triton.__file__).parent / 'backends/nvidia/bin'
SOURCES = Path(__file__).resolve().parents[1] / 'kernels/triton'
_INSTRUCTION = re.compile(r'\s*/\*[0-9a-f]{4,}\*/\s+(?:@(!?U?P\w+)\s+)?([\w.]+)\s*(.*?)\s*;')
_LINE = re.compile(r'//## File "([^"]+)", line (\d+)')
_REGISTER = re.compile(r'\b(UR|UP|R|P)(\d+)(\.64)?')


class Instruction(NamedTuple):
    """`predicate` is '' where it always runs; `function` is that of the source line."""

    predicate: str
    name: str
    operands: str
    function: str

    @property
    def opcode(self) -> str:
        return self.name.partition('.')[0]

    @property
    def width(self) -> int:
        """Registers per thread that a load or store moves."""
        found = re.search(r'\.(64|128)\b', self.name)
        return int(found[1]) // 32 if found else 1

    def reads_and_writes(self) -> tuple[list[str], list[str]]:
        """Names of registers and predicates."""
        found = _REGISTER.findall(self.operands)
        names = [_range(kind, n, 2 if pair else 1) for kind, n, pair in found]
        if self.opcode in ('STG', 'STS', 'BAR', 'BRA', 'EXIT', 'RED') or not names:
            writes, reads = [], names
        else:
            kind, first, _ = found[0]
            writes = [_range(kind, first, self._written())]
            reads = names[1:]
        if self.opcode == 'HGMMA':
            # A's four registers, unless it is in shared memory as B is; the sums are read too.
            reads = [_range(kind, n, 4) for kind, n, _ in found[1:]] + writes
        elif self.opcode == 'HMMA':
            reads = [_range(kind, n, 4) for kind, n, _ in found[1:]]
        elif self.opcode in ('STG', 'STS') and found:
            reads[-1] = _range(*found[-1][:2], self.width)
        guard = [[self.predicate.lstrip('!')]] if self.predicate else []
        return sum(reads + guard, []), sum(writes, [])

    @property
    def columns(self) -> int:
        """Of the products of a warp group, as in HGMMA.64x32x8."""
        return int(self.name.split('x')[1])

    def _written(self) -> int:
        if self.opcode == 'HGMMA':
            return self.columns // 2
        if self.opcode == 'HMMA' or self.name.startswith('LDSM'):
            return 4
        return 2 if '.WIDE' in self.name else self.width


def _range(kind: str, first: str, count: int) -> list[str]:
    return [f'{kind}{int(first) + i}' for i in range(count)]


class Code(NamedTuple):
    """Instructions, and where the labels stand among them."""

    instructions: list[Instruction]
    labels: dict[str, int]

    def target(self, i: int) -> int | None:
        """Where the branch at `i` leads, None if it is none."""
        found = re.search(r'`\((\.L_\w+)\)', self.instructions[i].operands)
        branches = found and self.instructions[i].name == 'BRA'  # not BRA.DIV, for a warp apart
        return self.labels[found[1]] if branches else None

    def ends_between(self, first: int, last: int) -> bool:
        """Whether the kernel always ends there, so that what stands behind is seldom run."""
        code = self.instructions[first:last]
        return any(x.opcode == 'EXIT' and not x.predicate for x in code)

    def loops(self) -> dict[int, int]:
        """First and last instruction of each loop, but for the branch to itself after the end."""
        ends = {}
        for i in range(len(self.instructions)):
            target = self.target(i)
            if target is not None and target < i and not self.ends_between(target, i):
                ends[target] = i
        return ends


def disassemble(kernel: CompiledKernel) -> Code:
    """The code of the kernel itself, without the divisions that it could call."""
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(kernel.asm['cubin'])
        file.flush()
        command = [BIN / 'nvdisasm', '-c', '-g', file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse(text)


def parse(text: str) -> Code:
    """What nvdisasm prints, up to the end of the kernel."""
    instructions, labels, function = [], {}, ''
    for line in text.splitlines():
        if found := _LINE.search(line):
            function = _function_at(Path(found[1]).name, int(found[2]))
        elif line.startswith('$') and instructions:  # a division that the kernel could call
            break
        elif line.startswith('.L_x_'):
            labels[line.partition(':')[0]] = len(instructions)
        elif found := _INSTRUCTION.match(line):
            instructions.append(Instruction(found[1] or '', found[2], found[3], function))
    if not instructions:
        raise RuntimeError(f'expected instructions from nvdisasm, got {text[:200]!r}')
    return Code(instructions, labels)


@cache
def _functions(name: str) -> list[tuple[str, int, int]]:
    path = SOURCES / name
    if not path.is_file():  # a line of Triton's own library
        return []
    tree = ast.parse(path.read_text())
    return [(f.name, f.lineno, f.end_lineno) for f in tree.body if isinstance(f, ast.FunctionDef)]


def _function_at(name: str, line: int) -> str:
    return next((f for f, first, last in _functions(name) if first <= line <= last), '')


def run_order(code: Code, trips: 'Trips') -> Iterator[Instruction]:
    """The instructions in the order in which a warp runs them, loops as often as `trips` says."""
    loops = code.loops()
    for x in _run(code, 0, len(code.instructions), loops, trips, inside=()):
        yield x
        if x.opcode == 'EXIT' and (not x.predicate or trips.returns):
            return


class Trips:
    """How often each loop runs, by the function it stands in; a list is used by turns."""

    def __init__(
        self, by_function: dict[str, Sequence[int]], outer: int, returns: bool = False
    ) -> None:
        """`outer` is for a loop around other loops. With `returns`, a kernel ends where it can."""
        self.by_function, self.outer, self.returns = by_function, outer, returns
        self.seen = dict.fromkeys(by_function, 0)

    def of(self, code: Code, first: int, last: int, loops: dict[int, int]) -> int:
        if any(first < other <= last for other in loops):
            return self.outer
        functions = {code.instructions[i].function for i in range(first, last + 1)}
        for name, counts in self.by_function.items():
            if name in functions:
                self.seen[name] += 1
                return counts[(self.seen[name] - 1) % len(counts)]
        raise RuntimeError(f'expected a loop of {", ".join(self.by_function)}, got {functions}')


def _run(code: Code, i: int, end: int, loops: dict, trips: Trips, inside: tuple) -> Iterator:
    while i < end:
        if i in loops and i not in inside:
            last = loops[i]
            for _ in range(trips.of(code, i, last, loops)):
                yield from _run(code, i, last + 1, loops, trips, (*inside, i))
            i = last + 1
            continue
        yield code.instructions[i]
        i = _next(code, i)


def _next(code: Code, i: int) -> int:
    """Forward branches: of two sides the longer one runs; what a branch skips alone, runs."""
    target = code.target(i)
    if target is None or target <= i:
        return i + 1
    if not code.instructions[i].predicate:
        return target
    if code.ends_between(i, target):  # what it leads to is seldom run
        return i + 1
    after = code.target(target - 1)
    is_else = after is not None and after > target and not code.instructions[target - 1].predicate
    return target if is_else and after - target > target - 1 - i else i + 1
