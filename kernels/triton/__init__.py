"""The Triton backend: block sizes and launches."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction

from .gradients import bi_gla_kernel_gradients
from .output import bi_gla_kernel_output
from .state import bi_gla_kernel_scan, bi_gla_kernel_state

SUB_CHUNK = 16  # the smallest tile of the tensor cores; pairs inside are summed without them
SUB_CHUNKS = 4  # sub-chunks of a chunk: more write fewer states, but walk further to each of them
SCAN_CHUNKS = 32  # chunks of one tile of the scan
SCAN_ENTRIES = 64  # state entries of one program of the scan
MOST_ROWS = 65535 // 2  # of both directions, along the second axis of a grid
INTERPRETED = isinstance(bi_gla_kernel_scan, InterpretedFunction)


def blocks(K: int, V: int, precision: str) -> tuple[int, int]:
    """Tile widths BK and BV: all of K at once, so that scores are whole, and V in parts.

    By widths and precision only, never by T: nothing is tuned or compiled again when images change
    size. Exact products hold more of their operands and get narrower parts.
    """
    BK = max(16, triton.next_power_of_2(K))
    most = min(64 if precision == 'tf32' else 16 if BK == 16 else 32, max(16, 8192 // BK))
    return BK, min(max(16, triton.next_power_of_2(V)), most)


# Warps of each kernel by precision and BK · BV: of those measured (1, 2, 4, 8) the fewest at which
# neither sm_80 nor sm_90 spills; found by building, tools/check_kernels.py.
WARPS = {
    ('tf32', 512): {'state': 1, 'output': 4, 'gradients': 4},
    ('tf32', 2048): {'state': 2, 'output': 8, 'gradients': 8},
    ('ieee', 256): {'state': 4, 'output': 4, 'gradients': 4},
}


def warps(kernel: str, BK: int, BV: int, precision: str) -> int:
    """Warps of a kernel; 8 for tiles wider than any in the table."""
    for (same, widest), found in WARPS.items():
        if precision == same and widest >= BK * BV:
            return found[kernel]
    return 8


class _Call(NamedTuple):
    """What all launches of one call share."""

    tensors: dict[str, Tensor]
    constants: dict
    grid_rows: int
    sub_chunks: int
    chunks: int

    def warps(self, kernel: str) -> int:
        c = self.constants
        return warps(kernel, c['BK'], c['BV'], c['PRECISION'])

    @property
    def sizes(self) -> dict[str, int]:
        B, T, H, _ = self.tensors['q'].shape
        return dict(T=T, N=self.chunks, B=B, H=H)

    def strides(self, **letters: str) -> dict[str, int]:
        """Keyword arguments s_<letter><axis> for the named tensors."""
        found = {}
        for letter, name in letters.items():
            x = self.tensors[name]
            last = {'q': 'k', 'k': 'k', 'x': 'k', 'f': 'k', 'b': 'k'}.get(letter, 'v')
            found |= {
                f's_{letter}{axis}': s for axis, s in zip('bth' + last, x.stride(), strict=True)
            }
        return found


def _call(q, k, v, g_fwd, g_bwd, gate_normalizer: float, do=None) -> _Call:
    B, T, H, K = q.shape
    V = v.shape[-1]
    given = g_fwd if g_fwd is not None else g_bwd
    tensors = dict(q=q, k=k, v=v, g_fwd=given, g_bwd=given)
    tensors |= {n: g for n, g in (('g_fwd', g_fwd), ('g_bwd', g_bwd)) if g is not None}
    if do is not None:
        tensors['do'] = do
    _check(tensors)
    # For 16-bit inputs the ten bits of tf32 are the finer ones; float32 keeps all of its own.
    precision = 'ieee' if torch.float32 in (q.dtype, k.dtype, v.dtype) else 'tf32'
    BK, BV = blocks(K, V, precision)
    sub_chunks = triton.cdiv(T, SUB_CHUNK)
    constants = dict(
        K=K, V=V, NS=SUB_CHUNKS, BC=SUB_CHUNK, NORM=gate_normalizer, BK=BK, BV=BV,
        HAS_FWD=g_fwd is not None, HAS_BWD=g_bwd is not None,
        UNIT=all(x.stride(-1) == 1 for x in tensors.values()),
        PRECISION=precision,
    )  # fmt: skip
    chunks = triton.cdiv(sub_chunks, SUB_CHUNKS)
    return _Call(tensors, constants, B * H, sub_chunks, chunks)


def _check(tensors: dict[str, Tensor]) -> None:
    B, _, H, _ = tensors['q'].shape
    if B * H > MOST_ROWS:
        raise ValueError(
            f"bi_gla: backend 'triton' expects at most {MOST_ROWS} images × heads, got {B} × {H}; "
            'split the batch'
        )
    for name, x in tensors.items():
        if x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise TypeError(
                f"bi_gla: backend 'triton' expects float32, bfloat16 or float16, {name} is "
                f"{x.dtype}; backend 'chunked' computes in float64"
            )
        if x.device.type == 'cpu' and not INTERPRETED:
            raise ValueError(
                f"bi_gla: backend 'triton' expects tensors on a GPU, {name} is on the CPU; use "
                "backend 'chunked', or set TRITON_INTERPRET=1 before the start to debug the kernels"
            )
        if name in ('q', 'v') and x.shape[-1] > 256:
            raise ValueError(
                f"bi_gla: backend 'triton' expects at most 256 channels per head, {name} has "
                f"{x.shape[-1]}; use backend 'chunked'"
            )


def _states(call: _Call, x: str, y: str, of_keys: bool) -> Tensor:
    """The states [2, B, H, N, K, V] that enter each chunk: of keys and values, or of gradients."""
    c, sizes = call.constants, call.sizes
    shape = (2, sizes['B'], sizes['H'], call.chunks, c['K'])
    device = call.tensors['q'].device
    own = torch.empty(*shape, c['V'], dtype=torch.float32, device=device)
    decay = torch.empty(shape, dtype=torch.float32, device=device)
    bi_gla_kernel_state[(call.chunks, triton.cdiv(c['V'], c['BV']), call.grid_rows)](
        p_x=call.tensors[x], p_y=call.tensors[y],
        p_gf=call.tensors['g_fwd'], p_gb=call.tensors['g_bwd'], p_state=own, p_decay=decay,
        **call.strides(x=x, y=y, f='g_fwd', b='g_bwd'),
        **sizes, **c, OF_KEYS=of_keys, num_warps=call.warps('state'),
    )  # fmt: skip
    entering = torch.empty_like(own)
    directions = c['HAS_FWD'] + c['HAS_BWD']
    bi_gla_kernel_scan[(triton.cdiv(c['K'] * c['V'], SCAN_ENTRIES), directions * call.grid_rows)](
        p_state=own, p_decay=decay, p_entering=entering, N=call.chunks, rows=call.grid_rows,
        K=c['K'], V=c['V'], BN=SCAN_CHUNKS, BE=SCAN_ENTRIES,
        HAS_FWD=c['HAS_FWD'], OF_KEYS=of_keys, num_warps=4,
    )  # fmt: skip
    return entering


def _on_device(x: Tensor):
    """Triton launches on the current device, which need not be the tensors'."""
    return torch.cuda.device(x.device) if x.device.type == 'cuda' else nullcontext()


def triton_forward(q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float = 0.0) -> Tensor:
    """Output o [B, T, H, V] in v's dtype, accumulated in float32."""
    call = _call(q, k, v, g_fwd, g_bwd, gate_normalizer)
    c = call.constants
    out = torch.empty(v.shape, dtype=v.dtype, device=v.device)
    with _on_device(q):
        entering = _states(call, 'k', 'v', of_keys=True)
        bi_gla_kernel_output[(call.sub_chunks, call.grid_rows)](
            p_q=q, p_k=k, p_v=v, p_gf=call.tensors['g_fwd'], p_gb=call.tensors['g_bwd'],
            p_entering=entering, p_o=out,
            **call.strides(q='q', k='k', v='v', f='g_fwd', b='g_bwd'),
            factor=scale / (c['HAS_FWD'] + c['HAS_BWD']), **call.sizes, **c,
            num_warps=call.warps('output'),
        )  # fmt: skip
    return out


def triton_backward(do, q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float = 0.0):
    """Gradients of q, k, v and both gates, in their shapes and dtypes; None for no gate."""
    call = _call(q, k, v, g_fwd, g_bwd, gate_normalizer, do)
    c = call.constants
    dq, dk, dv, dgf, dgb = (
        None if x is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for x in (q, k, v, g_fwd, g_bwd)
    )
    with _on_device(q):
        entering = _states(call, 'k', 'v', of_keys=True)
        leaving = _states(call, 'q', 'do', of_keys=False)
        # Both directions in one launch, unless exact products would spill.
        split = c['PRECISION'] == 'ieee' and c['HAS_FWD'] and c['HAS_BWD']
        passes = (True, False), (False, True)
        for has_fwd, has_bwd in passes if split else [(c['HAS_FWD'], c['HAS_BWD'])]:
            bi_gla_kernel_gradients[(call.sub_chunks, call.grid_rows)](
                p_q=q, p_k=k, p_v=v, p_gf=call.tensors['g_fwd'], p_gb=call.tensors['g_bwd'],
                p_do=do, p_entering=entering, p_leaving=leaving, p_dq=dq, p_dk=dk, p_dv=dv,
                p_dgf=dgb if dgf is None else dgf, p_dgb=dgf if dgb is None else dgb,
                **call.strides(q='q', k='k', v='v', f='g_fwd', b='g_bwd', o='do'), **call.sizes,
                factor=scale / (c['HAS_FWD'] + c['HAS_BWD']),
                **c | dict(HAS_FWD=has_fwd, HAS_BWD=has_bwd), ADD=split and has_bwd,
                num_warps=call.warps('gradients'),
            )  # fmt: skip
    return dq, dk, dv, dgf, dgb
