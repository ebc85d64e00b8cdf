"""What `bi_gla` refuses, and in which words."""

import torch
from torch import Tensor

from .dtypes import compute_dtype

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_tensors(tensors: dict[str, Tensor]) -> None:
    """Raise TypeError or ValueError unless q, k, v and the gates go together."""
    for name, x in tensors.items():
        _check_dense(name, x)
        if x.dtype not in _DTYPES:
            raise _not_floating(name, x.dtype)
    q = tensors['q']
    if q.dim() != 4 or 0 in q.shape:
        raise ValueError(
            f'bi_gla: expected q of shape [B, T, H, K], none of them 0; got {list(q.shape)}'
        )
    for name, x in tensors.items():
        width = x.shape[-1] if name == 'v' and x.dim() else q.shape[-1]
        if x.dim() != 4 or x.shape != (*q.shape[:3], width) or not width:
            letters = 'B, T, H, V' if name == 'v' else 'B, T, H, K'
            raise ValueError(
                f'bi_gla: expected {name} of shape [{letters}] to go with q {list(q.shape)}; '
                f'got {list(x.shape)}'
            )
        _check_device(name, x, q)


def check_states(states: tuple[Tensor | None, Tensor | None], tensors: dict[str, Tensor]) -> None:
    """Raise TypeError or ValueError unless the pair of states goes with q, k, v and the gates."""
    if not isinstance(states, (tuple, list)) or len(states) != 2:
        got = f'{len(states)}' if isinstance(states, (tuple, list)) else type(states).__name__
        raise TypeError(
            'bi_gla: expected initial_states to be a pair (forward, backward), each a tensor or '
            f'None; got {got}'
        )
    q, v = tensors['q'], tensors['v']
    for direction, state in zip(('fwd', 'bwd'), states, strict=True):
        if state is None:
            continue
        name = f'the initial state of {direction}'
        if f'g_{direction}' not in tensors:
            raise ValueError(
                f'bi_gla: expected {name} to be None, as g_{direction} is: that direction does not '
                'run; got a state'
            )
        _check_dense(name, state)
        dtype = compute_dtype(*tensors.values())
        if state.dtype != dtype:
            raise TypeError(
                f'bi_gla: expected {name} in {dtype}, the dtype of sums for these arguments and of '
                f'returned states; got {state.dtype}'
            )
        shape = [q.shape[0], q.shape[2], q.shape[3], v.shape[3]]
        if list(state.shape) != shape:
            raise ValueError(
                f'bi_gla: expected {name} of shape [B, H, K, V], here {shape}; got '
                f'{list(state.shape)}'
            )
        _check_device(name, state, q)


def refuse_gradients(*tensors: Tensor | None) -> None:
    """Raise RuntimeError where autograd would record an operator on these tensors."""
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors):
        raise RuntimeError(
            'bi_gla: states have no gradients: with initial_states or return_states expected '
            'tensors that require none, got one that does; call it under torch.no_grad(), or on '
            'the whole sequence without states'
        )


def _check_dense(name: str, x: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise _not_floating(name, type(x).__name__)
    if x.layout != torch.strided or x.is_nested:
        got = 'a nested tensor' if x.is_nested else f'layout {x.layout}'
        raise ValueError(f'bi_gla: expected {name} to be a dense tensor, got {got}')


def _not_floating(name: str, got) -> TypeError:
    return TypeError(
        f'bi_gla: expected {name} to be a floating-point tensor of 16, 32 or 64 bits, got {got}'
    )


def _check_device(name: str, x: Tensor, q: Tensor) -> None:
    if x.device != q.device:
        raise ValueError(
            f'bi_gla: expected all tensors on one device; q is on {q.device}, {name} on {x.device}'
        )
