"""How far from the truth the operator may be: two budgets, for chosen inputs and for any.

Truth is the recurrence in float64. Budgets follow from the error that plain torch makes at the same
dtypes; no number in them is tuned.
"""

import math
from functools import partial

import torch
from torch import Tensor

from mmvig.kernels import bi_gla
from mmvig.kernels.reference import bi_gla_reference

from .op_calls import Case, Parts
from .op_cases import run
from .op_states import in_parts

NAMES = ('o', 'dq', 'dk', 'dv', 'dg_fwd', 'dg_bwd')
DIRECTIONS = ('fwd', 'bwd')

# A gate made of a logit x is (min(x, 0) - log(1 + exp(-|x|))) / normalizer: an exponential, a sum,
# a logarithm of two roundings, a difference and a quotient.
ROUNDINGS_OF_GATE = 6

# A tensor core reads the ten leading bits of a fraction. Up to three factors of a term are read so:
# keys that enter a state, the state, and the queries that read it.
TENSOR_CORES = 3 * 2.0**-10


def assert_within_twice_the_loop(function, args, directions: str = 'both') -> None:
    """The error against float64 is at most twice what the plain token loop makes at this dtype.

    One rounding of the largest value at the coarsest dtype involved is added, for where the loop
    happens to be exact.
    """
    truth = run(bi_gla_reference, [x.double() for x in args], directions)
    plain = run(bi_gla_reference, args, directions)
    results = run(function, args, directions)
    for i, (true, loop, x) in enumerate(zip(truth, plain, results, strict=True)):
        assert torch.isfinite(x).all(), f'{NAMES[i]} is not finite'
        allowed = 2 * _error(loop, true)
        allowed += 2 * torch.finfo(x.dtype).eps * true.abs().max().item()
        error = _error(x, true)
        assert error <= allowed, f'{NAMES[i]}: error {error:.3g}, allowed {allowed:.3g}'


def assert_within_rounding_bounds(
    case: Case,
    backend: str,
    products: float = 0.0,
    device: str = 'cpu',
    plain: str = 'reference',
    parts: Parts | None = None,
) -> float | None:
    """Output and gradients differ from float64 by at most the budget.

    The budget is twice the error of the plain token loop at these dtypes, one rounding of the
    result, and what any order of the sums may lose where the loop happens to be exact: m roundings
    of the terms leave about √m u times the sum of the terms' sizes (Higham and Mary, A New Approach
    to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 2019, theorem 2.4 with λ = 1).
    That takes roundings to be independent; where a tensor repeats one number along an axis, they
    are not, and the bound that is certain, with m in place of √m, holds. A term meets an
    exponential, a product and a sum per token, and the sum over a head's channels. Where gates are
    made of logits they are rounded before they are exponentiated, and δ of a gate is δ |gate| of
    its decay: a term whose gates sum to -G may lose as many roundings of G times its size. Numbers
    below the smallest normal one have fewer digits, or are taken for zero: as much as that is
    allowed too, times what a decay, or in a gradient of logits the sigmoid, is multiplied by.

    Args:
        products: relative error of a term whose factors lose digits before they are multiplied.
        plain: the backend in plain torch that is the truth in float64 and gives the error to
            double. 'chunked' where a token loop would take hours; it equals the loop in float64
            (`test_bi_gla.py`).
        parts: initial states, and where the sequence is cut for the backend alone. Output and last
            states are compared then, as states have no gradients.

    Returns:
        The largest error as a fraction of its budget; None if a result does not fit its dtype.
    """
    tensors = case.tensors(device)
    run_whole = run_tested = _run_case
    if parts is not None:
        tensors |= parts.initial_states(case, device)
        run_whole, run_tested = partial(_run_parts, cuts=()), partial(_run_parts, cuts=parts.cuts)
    contiguous = {name: x.contiguous() for name, x in tensors.items()}
    exact = {name: x.double() for name, x in contiguous.items()}
    truth = run_whole(case, exact, plain)
    for name, x in truth.items():
        dtype = _like(name, tensors).dtype
        if not x.abs().max() < torch.finfo(dtype).max / 2:
            return None
    positive = {name: x if name in case.gates else x.abs() for name, x in exact.items()}
    sizes = run_whole(case, positive, plain)
    lost_in_gates = _sizes_times_gates(case, positive, sizes, partial(run_whole, backend=plain))
    factors = _sizes_without_decays(case, positive, partial(run_whole, backend=plain))
    loops = [(run_whole(case, contiguous, plain), 1.0)]
    compute = torch.float32
    for x in tensors.values():
        compute = torch.promote_types(compute, x.dtype)
    if compute == torch.float64:  # the loop is the truth there; what it errs in float32, scaled
        ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
        floats = {name: x.float() for name, x in contiguous.items()}
        loops.append((run_whole(case, floats, plain), ratio))

    _, T, _, K, V = case.sizes.values()
    roundings = 3 * T + K + V
    if not any(layout.repeated for layout in case.layouts.values()):
        roundings = math.sqrt(roundings)
    lost = roundings * torch.finfo(compute).eps / 2 + products
    worst = 0.0
    for name, x in run_tested(case, tensors, backend).items():
        true, argument = truth[name], _like(name, tensors)
        assert (x.shape, x.dtype) == (argument.shape, argument.dtype)
        assert torch.isfinite(x).all(), f'{name} is not finite'
        rounding = torch.finfo(x.dtype)
        allowed = 2 * max(_error(loop[name], true) * factor for loop, factor in loops)
        allowed += rounding.eps * max(true.abs().max().item(), rounding.tiny)
        allowed += lost * sizes[name].max().item()
        allowed += torch.finfo(compute).tiny * max(1.0, factors[name])
        allowed += ROUNDINGS_OF_GATE * torch.finfo(compute).eps / 2 * lost_in_gates[name]
        error = _error(x, true)
        assert error <= allowed, f'{name}: error {error:.3g}, allowed {allowed:.3g}'
        worst = max(worst, error / allowed)
    return worst


def _sizes_times_gates(
    case: Case, positive: dict[str, Tensor], sizes: dict[str, Tensor], run_whole
) -> dict[str, float]:
    """Of each result the largest sum of its terms' sizes times G, where gates are made of logits.

    Gates sum to -G on the way of a term, which holds exp(-G). A normalizer larger by a factor 1 + δ
    makes it larger by a factor 1 + δ G, and the gradients of logits, which are divided by it, less
    by 1 + δ.
    """
    if case.gate_normalizer is None:
        return dict.fromkeys(sizes, 0.0)
    step = 2.0**-20
    larger = case._replace(gate_normalizer=case.gate_normalizer * (1 + step))
    return {
        name: ((x * (1 + step) if name.startswith('dg') else x) - sizes[name]).max().item() / step
        for name, x in run_whole(larger, positive).items()
    }


def _sizes_without_decays(case: Case, positive: dict[str, Tensor], run_whole) -> dict[str, float]:
    """Of each result the largest sum of its terms' sizes, with open gates in place of its own."""
    opened = {name: torch.zeros_like(positive[name]) for name in case.gates}
    found = run_whole(case._replace(gate_normalizer=None), positive | opened)
    slope = 1 / (case.gate_normalizer or 1.0)  # of gates by their logits, at most
    return {
        name: x.max().item() * (slope if name.startswith('dg') else 1.0)
        for name, x in found.items()
    }


def _run_case(case: Case, tensors: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    """The output and all gradients, in the memory layout that the tensors have."""
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items() if name != 'do'}
    out = bi_gla(
        *(leaves.get(name) for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')),
        scale=case.scale,
        gate_normalizer=case.gate_normalizer,
        backend=backend,
    )
    grads = torch.autograd.grad(out, list(leaves.values()), tensors['do'].to(out.dtype))
    return {'o': out.detach()} | {
        f'd{name}': grad for name, grad in zip(leaves, grads, strict=True)
    }


def _run_parts(case: Case, tensors: dict[str, Tensor], backend: str, cuts) -> dict[str, Tensor]:
    """The output and the last states, a part of the sequence at a time."""
    out, last = in_parts(
        *(tensors.get(name) for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')),
        cuts=cuts,
        initial=tuple(tensors.get(f'state_{direction}') for direction in DIRECTIONS),
        scale=case.scale,
        gate_normalizer=case.gate_normalizer,
        backend=backend,
    )
    states = zip(DIRECTIONS, last, strict=True)
    return {'o': out} | {f'state_{way}': state for way, state in states if state is not None}


def _like(name: str, tensors: dict[str, Tensor]) -> Tensor:
    """The argument that has the shape and dtype of a result."""
    return tensors['v' if name == 'o' else name.removeprefix('d')]


def _error(x: Tensor, true: Tensor) -> float:
    return (x.double() - true).abs().max().item()
