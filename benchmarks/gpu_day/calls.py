"""Calls of the operator to check: shapes, dtypes, gates, memory layouts; and how they are judged.

Truth is the chunk form in float64, which equals the token loop (`tests/kernels/test_bi_gla.py`).
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mmvig.kernels import bi_gla
from mmvig.kernels.shapes import LENGTHS, SHAPES, Shape

GATES = (-1e-4, -1.0, -30.0, -200.0)
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
# A tensor core reads the ten leading bits of each of up to three factors of a term.
TENSOR_CORES = 3 * 2.0**-10
LAYOUTS: dict[str, Callable[[Callable, int, int, int, int], Tensor]] = {
    'plain': lambda draw, B, T, H, D: draw(B, T, H, D),
    'channels first': lambda draw, B, T, H, D: draw(B, H, D, T).permute(0, 3, 1, 2),
    'every other token': lambda draw, B, T, H, D: draw(B, 2 * T, H, D)[:, ::2],
    'every other channel': lambda draw, B, T, H, D: draw(B, T, H, 2 * D)[..., ::2],
    'heads before tokens': lambda draw, B, T, H, D: draw(B, H, T, D).transpose(1, 2),
    'part of a projection': lambda draw, B, T, H, D: draw(B, T, 3 * H, D)[:, :, H : 2 * H],
}


class Call(NamedTuple):
    """`gates`: 'logits' (of which the operator makes gates), 'mixed', or one number for all."""

    shape: Shape
    dtype: str
    directions: str = 'both'
    gates: str | float = 'logits'
    layout: str = 'plain'

    @property
    def normalizer(self) -> float | None:
        return 16.0 if self.gates == 'logits' else None

    def tensors(self, device: str) -> dict[str, Tensor]:
        """q, k, v, the gates of the directions, and do, the gradient of the output."""
        rng = torch.Generator(device).manual_seed(0)
        B, T, H, K, V = self.shape

        def numbers(*sizes: int) -> Tensor:
            x = torch.randn(sizes, generator=rng, device=device)
            return x.to(DTYPES[self.dtype])

        def gates(*sizes: int) -> Tensor:
            if self.gates == 'logits':
                return numbers(*sizes)
            values = torch.tensor(GATES if self.gates == 'mixed' else [self.gates], device=device)
            choice = torch.randint(len(values), sizes, generator=rng, device=device)
            return values[choice].to(DTYPES[self.dtype])

        place = LAYOUTS[self.layout]
        made = {name: place(numbers, B, T, H, D) for name, D in (('q', K), ('k', K), ('v', V))}
        for name in ('fwd', 'bwd'):
            if self.directions in ('both', name):
                made[f'g_{name}'] = place(gates, B, T, H, K)
        return made | {'do': place(numbers, B, T, H, V)}


def calls(small: bool) -> Iterator[Call]:
    """All that is checked; `small` has one of each kind, for the interpreter."""
    if small:
        shape = Shape(1, 3, 1, 5, 7)
        yield Call(shape, 'float32', gates='mixed', layout='part of a projection')
        yield Call(shape, 'bfloat16', directions='fwd', gates=-200.0)
        return
    lengths = [Shape(1, T, 3, 16, 32) for T in LENGTHS]
    # Beside the models' widths one that does not fill a tile.
    shapes = [*SHAPES.values(), *lengths, Shape(1, 1, 1, 16, 32), Shape(1, 65, 1, 5, 7)]
    for dtype in DTYPES:
        yield from (Call(shape, dtype) for shape in shapes)
        base = Call(Shape(2, 1050, 24, 16, 32), dtype)
        yield from (base._replace(directions=directions) for directions in ('fwd', 'bwd'))
        yield from (base._replace(gates=gates) for gates in (*GATES, 'mixed'))
        yield from (base._replace(layout=layout) for layout in list(LAYOUTS)[1:])


def run(call: Call, tensors: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    """The output and all gradients."""
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items() if name != 'do'}
    out = bi_gla(
        *(leaves.get(name) for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')),
        gate_normalizer=call.normalizer,
        backend=backend,
    )
    grads = torch.autograd.grad(out, list(leaves.values()), tensors['do'].to(out.dtype))
    return {'o': out.detach()} | {f'd{n}': g for n, g in zip(leaves, grads, strict=True)}


def part_of_budget(call: Call, device: str) -> float:
    """The largest error of any output or gradient, as a part of what is allowed; inf for NaN.

    Allowed are twice the error of plain torch at this dtype, one rounding of the result, and what
    any order of the sums and the tensor cores lose: docs/measuring.md, fuzzed calls.
    """
    tensors = call.tensors(device)
    exact = {name: x.double() for name, x in tensors.items()}
    truth = run(call, exact, 'chunked')
    sizes = run(
        call, {n: x if n.startswith('g_') else x.abs() for n, x in exact.items()}, 'chunked'
    )
    plain = run(call, tensors, 'chunked')
    lost = math.sqrt(3 * call.shape.T + call.shape.K + call.shape.V) * 2.0**-24
    lost += 0 if call.dtype == 'float32' else TENSOR_CORES
    worst = 0.0
    for name, x in run(call, tensors, 'triton').items():
        eps = torch.finfo(DTYPES[call.dtype]).eps
        allowed = 2 * _distance(plain[name], truth[name])
        allowed += eps * truth[name].abs().max().item() + lost * sizes[name].max().item()
        error = _distance(x, truth[name]) if torch.isfinite(x).all() else math.inf
        # Nothing is allowed where every number is zero: then nothing else may come out.
        worst = max(worst, error / allowed if allowed else math.inf if error else 0.0)
    return worst


def _distance(x: Tensor, truth: Tensor) -> float:
    return (x.double() - truth).abs().max().item()
