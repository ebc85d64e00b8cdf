"""Calls of the operator at random: any sizes, dtypes, memory layouts and gates it accepts."""

import torch
from hypothesis import strategies as st

from .op_calls import PLAIN, Case, Layout, Parts

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Where chunks (32, 64), sub-chunks (16) and tiles (16) of the backends begin and end, and between.
BORDERS = (15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 150)
# One constant per head, as in retention, and other axes of stride 0.
REPEATED = ((), (), (), (0, 1, 3), (0,), (1,), (2, 3), (0, 1, 2, 3))
GATES = ('open', 'small', 'usual', 'large', 'closed', 'mixed')


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
