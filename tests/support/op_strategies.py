"""Calls of the operator at random: any sizes, dtypes, memory layouts and gates it accepts."""

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmvig.kernels.dtypes import compute_dtype

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Where chunks (32, 64), sub-chunks (16) and tiles (16) of the backends begin and end, and between.
BORDERS = (15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 150)
# One constant per head, as in retention, and other axes of stride 0.
REPEATED = ((), (), (), (0, 1, 3), (0,), (1,), (2, 3), (0, 1, 2, 3))
GATES = ('open', 'small', 'usual', 'large', 'closed', 'mixed')


class Layout(NamedTuple):
    """How a tensor [B, T, H, D] lies in memory: the order of its axes from the outermost to the
    innermost, a step and a start on each of them, and axes of stride 0."""

    order: tuple[int, ...] = (0, 1, 2, 3)
    steps: tuple[int, ...] = (1, 1, 1, 1)
    starts: tuple[int, ...] = (0, 0, 0, 0)
    repeated: tuple[int, ...] = ()

    def place(self, shape: tuple[int, ...], draw) -> Tensor:
        """A tensor of this layout; `draw(shape)` gives the values of the memory."""
        sizes = [
            1 if axis in self.repeated else start + step * (size - 1) + 1
            for axis, (size, step, start) in enumerate(
                zip(shape, self.steps, self.starts, strict=True)
            )
        ]
        back = sorted(range(4), key=self.order.__getitem__)
        memory = draw([sizes[axis] for axis in self.order]).permute(back)
        for axis, (step, start) in enumerate(zip(self.steps, self.starts, strict=True)):
            if axis not in self.repeated:
                memory = memory[(slice(None),) * axis + (slice(start, None, step),)]
        return memory.expand(shape)


PLAIN = Layout()


class Case(NamedTuple):
    """A call; numbers are drawn from `seed`. Names in the order of the arguments, `do` last."""

    sizes: dict[str, int]
    directions: str
    dtypes: dict[str, torch.dtype]
    layouts: dict[str, Layout]
    gates: dict[str, str | float]
    magnitudes: dict[str, int]
    gate_normalizer: float | None
    scale: float | None
    seed: int

    def tensors(self, device: str = 'cpu') -> dict[str, Tensor]:
        """q, k, v, the gates that there are, and do, the gradient of the output."""
        rng = torch.Generator().manual_seed(self.seed)
        B, T, H, K, V = self.sizes.values()
        tensors = {}
        for name, dtype in self.dtypes.items():
            shape = (B, T, H, V if name in ('v', 'do') else K)

            def draw(sizes, name=name, dtype=dtype):
                if name in self.gates:
                    logits = self.gate_normalizer is not None
                    values = _gates(self.gates[name], sizes, logits, rng)
                else:
                    values = torch.randn(sizes, generator=rng) * 10.0 ** self.magnitudes[name]
                return values.to(device, dtype)

            tensors[name] = self.layouts[name].place(shape, draw)
        return tensors


def _gates(kind: str | float, sizes, logits: bool, rng) -> Tensor:
    """Gates, or the logits of such gates: of one kind, each of another, or all this number."""
    if isinstance(kind, float):
        return torch.full(sizes, kind)
    exponent = torch.rand(sizes, generator=rng)
    sign = torch.randint(2, sizes, generator=rng) * 2.0 - 1
    infinite = torch.full(sizes, torch.inf)
    if logits:
        kinds = {
            'open': infinite,
            'small': 10 ** (1 + exponent),
            'usual': torch.randn(sizes, generator=rng),
            'large': sign * 10 ** (1 + 3 * exponent),
            'closed': -infinite,
        }
    else:
        kinds = {
            'open': torch.zeros(sizes),
            'small': -(10 ** (-8 + 7 * exponent)),
            'usual': torch.nn.functional.logsigmoid(torch.randn(sizes, generator=rng)) / 16,
            'large': -(10 ** (3 * exponent)),
            'closed': -infinite,
        }
    if kind != 'mixed':
        return kinds[kind]
    choice = torch.randint(len(kinds), sizes, generator=rng)
    return torch.stack(list(kinds.values())).gather(0, choice[None])[0]


class Parts(NamedTuple):
    """Where a sequence is cut, and the states that it begins with in each direction."""

    cuts: tuple[int, ...]
    layouts: dict[str, Layout]
    seed: int

    def initial_states(self, case: Case, device: str = 'cpu') -> dict[str, Tensor]:
        """state_fwd and state_bwd, [B, H, K, V] in the dtype of sums, as large as one token's."""
        rng = torch.Generator().manual_seed(self.seed)
        B, _, H, K, V = case.sizes.values()
        dtype = compute_dtype(*case.tensors().values())
        size = 10.0 ** (case.magnitudes['k'] + case.magnitudes['v'])

        def draw(sizes):
            return (torch.randn(sizes, generator=rng) * size).to(device, dtype)

        return {
            gate.replace('g', 'state'): self.layouts[gate].place((B, H, K, V), draw)
            for gate in case.gates
        }


@st.composite
def layouts(draw) -> Layout:
    if draw(st.booleans()):
        return PLAIN
    few = st.tuples(*[st.integers(0, 2)] * 4)
    return Layout(
        tuple(draw(st.permutations(range(4)))),
        tuple(1 + step for step in draw(few)),
        draw(few),
        draw(st.sampled_from(REPEATED)),
    )


@st.composite
def cases(draw, dtypes=DTYPES, longest: int = 150, widest: int = 70, heads: int = 4) -> Case:
    """Any call that a backend for these dtypes accepts."""
    width = st.one_of(st.integers(1, 9), st.sampled_from([16, 32]), st.integers(10, widest))
    borders = st.sampled_from([border for border in BORDERS if border <= longest])
    sizes = dict(
        B=draw(st.integers(1, min(heads, 3))),
        T=draw(st.one_of(st.integers(1, 40), borders)),
        H=draw(st.integers(1, heads)),
        K=draw(width),
        V=draw(width),
    )
    directions = draw(st.sampled_from(['both', 'fwd', 'bwd']))
    gates = {'both': ('g_fwd', 'g_bwd'), 'fwd': ('g_fwd',), 'bwd': ('g_bwd',)}[directions]
    names = ('q', 'k', 'v', *gates, 'do')
    if draw(st.booleans()):
        chosen = dict.fromkeys(names, draw(st.sampled_from(dtypes)))
    else:
        chosen = {name: draw(st.sampled_from(dtypes)) for name in names}
    chosen['do'] = chosen['v']  # the dtype of the output
    few = st.integers(-1, 1) if torch.float16 in chosen.values() else st.integers(-3, 3)
    normalizers = st.one_of(st.none(), st.sampled_from([16.0, 1.0]), st.floats(0.01, 1000))
    return Case(
        sizes=sizes,
        directions=directions,
        dtypes=chosen,
        layouts={name: draw(layouts()) for name in names},
        gates={name: draw(st.sampled_from(GATES)) for name in gates},
        magnitudes={name: draw(few) for name in ('q', 'k', 'v', 'do')},
        gate_normalizer=draw(normalizers),
        scale=draw(st.one_of(st.none(), st.floats(0.01, 10))),
        seed=draw(st.integers(0, 2**31)),
    )


@st.composite
def cases_in_parts(draw, most_cuts: int = 4, **limits) -> tuple[Case, Parts]:
    """Any call with states, and up to so many cuts anywhere.

    Both gates have one dtype: the first pass over the parts takes one of them, and sums are to be
    taken in the dtype that they have in the second, which takes both.
    """
    case = draw(cases(**limits))
    gate_dtypes = dict.fromkeys(case.gates, case.dtypes[next(iter(case.gates))])
    case = case._replace(dtypes=case.dtypes | gate_dtypes)
    T = case.sizes['T']
    cuts = draw(st.sets(st.integers(1, T - 1), max_size=most_cuts)) if T > 1 else ()
    return case, Parts(
        tuple(sorted(cuts)),
        {gate: draw(layouts()) for gate in case.gates},
        draw(st.integers(0, 2**31)),
    )
