"""The token-wise layers that have C++: the function, its formula in torch, and inputs."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvig.ops.blend import blend
from mmvig.ops.rms_norm import rms_norm
from mmvig.ops.swiglu import swiglu


class Layer(NamedTuple):
    function: Callable[..., Tensor]
    formula: Callable[..., Tensor]
    inputs: Callable[[Sequence[int], torch.dtype], list[Tensor]]  # of a shape of the output
    # Of the terms that the output and each gradient are sums of, the largest: they may cancel.
    terms: Callable[..., list[float]]


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    exact = torch.promote_types(x.dtype, torch.float32)
    return F.rms_norm(x.to(exact), weight.shape, weight.to(exact), 1e-6).to(x.dtype)


def _swiglu(x: Tensor) -> Tensor:
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


def _blend(gate: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.lerp(b, a, gate.sigmoid())


def _rms_norm_terms(dy: Tensor, x: Tensor, weight: Tensor) -> list[float]:
    """Also of terms that a row's sums of n numbers are factors of, each √n/2 times.

    Such a sum may lose √n u of the sum of its terms' sizes in the order that a compiler without
    vectors takes (Higham and Mary 2019), and the root of one of squares half as much.
    """
    root = math.sqrt(x.shape[-1]) / 2
    inverse = (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
    direct = (dy * weight * inverse).abs()
    unit = (x * inverse).abs()
    mean = unit * (direct * unit).mean(-1, keepdim=True)
    sums = (dy * unit).abs().flatten(0, -2).sum(0)
    return [
        float((unit * weight).abs().max()) * root / 2,
        float(direct.max()) * (1 + root / 2) + float(mean.max()) * root * 5 / 2,
        float(sums.max()) * (1 + root / 2),
    ]


def _swiglu_terms(dy: Tensor, x: Tensor) -> list[float]:
    return [0.0, float(dy.abs().max() * x.abs().max())]


def _blend_terms(dy: Tensor, gate: Tensor, a: Tensor, b: Tensor) -> list[float]:
    mixed, d = float(a.abs().max() + b.abs().max()), float(dy.abs().max())
    return [mixed, d * mixed, d, d]


def _randn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape).to(dtype)


LAYERS = {
    'rms_norm': Layer(
        lambda x, weight: rms_norm(x, weight, 1e-6),
        _rms_norm,
        lambda shape, dtype: [_randn(*shape, dtype=dtype), torch.rand(shape[-1]) + 0.5],
        _rms_norm_terms,
    ),
    'swiglu': Layer(
        swiglu,
        _swiglu,
        lambda shape, dtype: [_randn(*shape[:-1], 2 * shape[-1], dtype=dtype)],
        _swiglu_terms,
    ),
    'blend': Layer(
        blend,
        _blend,
        lambda shape, dtype: [_randn(*shape, dtype=dtype) for _ in range(3)],
        _blend_terms,
    ),
}


def run(function: Callable[..., Tensor], inputs: list[Tensor], dy: Tensor) -> list[Tensor]:
    """The output and all gradients."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    y = function(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, dy.to(y.dtype))]


def largest_share_of_budget(layer: Layer, inputs: list[Tensor], dy: Tensor) -> float:
    """The error against float64, in units of twice that of torch's formula in the same dtype.

    One rounding of the largest term is added to torch's error, which may be 0 by chance.
    """
    found, torchs = run(layer.function, inputs, dy), run(layer.formula, inputs, dy)
    dy = dy.to(found[0].dtype).double()
    inputs = [x.double() for x in inputs]
    truth, terms = run(layer.formula, inputs, dy), layer.terms(dy, *inputs)
    shares = []
    for x, y, true, term in zip(found, torchs, truth, terms, strict=True):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.isfinite().all()
        rounding = torch.finfo(x.dtype).eps * true.abs().max() + 2**-23 * term
        budget = 2 * ((y - true).abs().max() + rounding)
        shares.append(float((x - true).abs().max() / budget) if budget else 0.0)
    return max(shares)
