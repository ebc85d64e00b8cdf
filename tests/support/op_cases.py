"""Inputs of the operator's tests, and how it is run on them."""

import torch
from torch import Tensor

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
    device: str = 'cpu',
) -> list[Tensor]:
    """q, k, v, g_fwd, g_bwd; `gate` is one value for all, or 'mixed' for a random choice each."""
    rng = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, T, H, D, dtype=torch.float64, generator=rng) for D in (K, K, V))
    values = torch.tensor(GATES if gate == 'mixed' else [gate], dtype=torch.float64)
    gates = [values[torch.randint(len(values), q.shape, generator=rng)] for _ in range(2)]
    return [x.to(device, dtype) for x in (q, k, v, *gates)]


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
    return [out.detach(), *torch.autograd.grad(out, used, do.to(out.device, out.dtype))]
