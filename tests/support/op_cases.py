"""Inputs and tolerances of the operator's tests."""

import torch
from torch import Tensor

from mmvig.kernels.reference import bi_gla_reference

GATES = (-1e-4, -1.0, -30.0, -200.0)


def inputs(
    T: int,
    gate: float | str = 'mixed',
    dtype: torch.dtype = torch.float64,
    B: int = 2,
    H: int = 2,
    K: int = 5,
    V: int = 7,
    seed: int = 0,
) -> list[Tensor]:
    """q, k, v, g_fwd, g_bwd; `gate` is one value for all, or 'mixed' for a random choice each."""
    rng = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, T, H, D, dtype=torch.float64, generator=rng) for D in (K, K, V))
    values = torch.tensor(GATES if gate == 'mixed' else [gate], dtype=torch.float64)
    gates = [values[torch.randint(len(values), q.shape, generator=rng)] for _ in range(2)]
    return [x.to(dtype) for x in (q, k, v, *gates)]


def run(function, args, directions: str = 'both', do: Tensor | None = None) -> list[Tensor]:
    """Output and gradients of `function(q, k, v, g_fwd, g_bwd, scale)`."""
    leaves = [x.detach().clone().requires_grad_() for x in args]
    g_fwd, g_bwd = leaves[3:]
    used = {'both': leaves, 'fwd': leaves[:4], 'bwd': [*leaves[:3], g_bwd]}[directions]
    out = function(
        *leaves[:3],
        g_fwd if directions != 'bwd' else None,
        g_bwd if directions != 'fwd' else None,
        args[0].shape[-1] ** -0.5,
    )
    if do is None:
        rng = torch.Generator().manual_seed(1)
        do = torch.randn(out.shape, dtype=torch.float64, generator=rng)
    return [out.detach(), *torch.autograd.grad(out, used, do.to(out.dtype))]


NAMES = ('o', 'dq', 'dk', 'dv', 'dg_fwd', 'dg_bwd')


def assert_as_exact_as_torch(function, args, directions: str = 'both') -> None:
    """The error against float64 is at most twice what the plain token loop makes at this dtype.

    One rounding of the largest value at the coarsest dtype involved is added, for where the loop
    happens to be exact.
    """
    truth = run(bi_gla_reference, [x.double() for x in args], directions)
    plain = run(bi_gla_reference, args, directions)
    found = run(function, args, directions)
    for i, (true, loop, x) in enumerate(zip(truth, plain, found, strict=True)):
        assert torch.isfinite(x).all(), f'{NAMES[i]} is not finite'
        error = (x.double() - true).abs().max().item()
        allowed = 2 * (loop.double() - true).abs().max().item()
        allowed += 2 * torch.finfo(x.dtype).eps * true.abs().max().item()
        assert error <= allowed, f'{NAMES[i]}: error {error:.3g}, allowed {allowed:.3g}'
