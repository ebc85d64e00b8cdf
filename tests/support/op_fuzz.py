"""What must hold for any call of the operator."""

import math

import torch
from hypothesis import assume, target
from torch import Tensor

from mmvig.kernels import bi_gla

from .op_strategies import Case


def run(case: Case, tensors: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    """The output and all gradients, in the memory layout that the tensors have."""
    given = {name: x.detach().requires_grad_() for name, x in tensors.items() if name != 'do'}
    out = bi_gla(
        *(given.get(name) for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')),
        scale=case.scale,
        gate_normalizer=case.gate_normalizer,
        backend=backend,
    )
    grads = torch.autograd.grad(out, list(given.values()), tensors['do'].to(out.dtype))
    return {'o': out.detach()} | {f'd{name}': grad for name, grad in zip(given, grads, strict=True)}


# A tensor core reads the ten leading bits of a fraction. Up to three factors of a term are read so:
# keys that enter a state, the state, and the queries that read it.
TENSOR_CORES = 3 * 2.0**-10


def assert_as_exact_as_torch(case: Case, backend: str, products: float = 0.0) -> None:
    """Output and gradients differ from float64 by at most the budget.

    The budget is twice the error of the plain token loop at these dtypes, one rounding of the
    result, and what any order of the sums may lose where the loop happens to be exact: m roundings
    of the terms leave about √m u times the sum of the terms' sizes (Higham and Mary, A New Approach
    to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 2019, theorem 2.4 with λ = 1).
    That takes roundings to be independent; where a tensor repeats one number along an axis, they
    are not, and the bound that is certain, with m in place of √m, holds. A term meets an
    exponential, a product and a sum per token, and the sum over a head's channels. Numbers below
    the smallest normal one have fewer digits, so as much as that is allowed too. `products` is the
    relative error of a term whose factors lose digits before they are multiplied.
    """
    tensors = case.tensors()
    plain = {name: x.contiguous() for name, x in tensors.items()}
    exact = {name: x.double() for name, x in plain.items()}
    truth = run(case, exact, 'reference')
    for name, x in truth.items():
        dtype = tensors['v' if name == 'o' else name[1:]].dtype
        assume(x.abs().max() < torch.finfo(dtype).max / 2)
    sizes = run(
        case, {name: x if name in case.gates else x.abs() for name, x in exact.items()}, 'reference'
    )
    loops = [(run(case, plain, 'reference'), 1.0)]
    compute = torch.float32
    for x in tensors.values():
        compute = torch.promote_types(compute, x.dtype)
    if compute == torch.float64:  # the loop is the truth there; what it errs in float32, scaled
        ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
        loops.append(
            (run(case, {name: x.float() for name, x in plain.items()}, 'reference'), ratio)
        )

    _, T, _, K, V = case.sizes.values()
    roundings = 3 * T + K + V
    if not any(layout.repeated for layout in case.layouts.values()):
        roundings = math.sqrt(roundings)
    lost = roundings * torch.finfo(compute).eps / 2 + products
    found = run(case, tensors, backend)
    worst = 0.0
    for name, x in found.items():
        true, given = truth[name], tensors['v' if name == 'o' else name[1:]]
        assert (x.shape, x.dtype) == (given.shape, given.dtype)
        assert torch.isfinite(x).all(), f'{name} is not finite'
        rounding = torch.finfo(x.dtype)
        allowed = 2 * max(_error(loop[name], true) * factor for loop, factor in loops)
        allowed += rounding.eps * max(true.abs().max().item(), rounding.tiny)
        allowed += lost * sizes[name].max().item() + torch.finfo(compute).tiny
        error = _error(x, true)
        assert error <= allowed, f'{name}: error {error:.3g}, allowed {allowed:.3g}'
        worst = max(worst, error / allowed)
    target(worst, label='largest error / budget')


def _error(x: Tensor, true: Tensor) -> float:
    return (x.double() - true).abs().max().item()
