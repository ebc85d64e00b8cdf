"""The Triton backend: block sizes and launches."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
import triton
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction

from .gradients import bi_gla_kernel_gradients
from .open import bi_gla_kernel_open_output
from .open_gradients import bi_gla_kernel_open_gradients
from .output import bi_gla_kernel_output
from .state import bi_gla_kernel_scan, bi_gla_kernel_state
from .tiles import BC, NS

SCAN_CHUNKS = 128  # chunks of one tile of the scan
SCAN_ENTRIES = 16  # state entries of one program of the scan
SCAN_WARPS = 8
MOST_ROWS = 65535 // 2  # of both directions, along the second axis of a grid
# Whether open chunks have kernels of their own: Triton 3.0 cannot build that of their gradients.
OPENS = not triton.__version__.startswith('3.0.')
INTERPRETED = isinstance(bi_gla_kernel_scan, InterpretedFunction)


def blocks(K: int, V: int, precision: str) -> tuple[int, int]:
    """Tile widths BK and BV: all of K at once, so that scores are whole, and V in parts.

    By widths and precision only, never by T: nothing is tuned or compiled again when images change
    size. Exact products hold more of their operands and get narrower parts.
    """
    BK = max(16, triton.next_power_of_2(K))
    most = min(64 if precision == 'tf32' else 16 if BK == 16 else 32, max(16, 8192 // BK))
    return BK, min(max(16, triton.next_power_of_2(V)), most)


# Warps of each kernel, and registers that a thread may have, by precision and BK · BV: of those
# tried the quickest, as tools/predict_kernels.py says, that spill neither on sm_80 nor on sm_90.
# Fewer registers let more programs run at once.
WARPS = {
    ('tf32', 512): {
        'state': (1, 168),
        'output': (1, 168),
        'gradients': (1, 200),
        'open_output': (4, 168),
        'open_gradients': (4, 168),
    },
    ('tf32', 2048): {
        'state': (2, 168),
        'output': (2, 255),
        'gradients': (2, 255),
        'open_output': (4, 255),
        'open_gradients': (8, 255),
    },
    ('ieee', 256): {'state': (2, 255), 'output': (2, 255), 'gradients': (2, 255)},
    ('ieee', 1024): {'state': (4, 255), 'output': (4, 255), 'gradients': (4, 240)},
}
if triton.__version__.startswith('3.0.'):  # whose builds need more registers, so as not to spill
    WARPS = {
        ('tf32', 512): {'state': (1, 168), 'output': (1, 255), 'gradients': (1, 255)},
        ('tf32', 2048): {'state': (2, 168), 'output': (4, 255), 'gradients': (4, 255)},
        ('ieee', 256): {'state': (2, 255), 'output': (4, 255), 'gradients': (2, 255)},
        ('ieee', 1024): {'state': (4, 255), 'output': (8, 255), 'gradients': (8, 255)},
    }


def launch_options(kernel: str, BK: int, BV: int, precision: str) -> dict[str, int]:
    """Warps and registers of a kernel; 8 warps for tiles wider than any in the table."""
    warps, registers = 8, 255
    for (table_precision, widest), by_kernel in WARPS.items():
        if precision == table_precision and widest >= BK * BV:
            warps, registers = by_kernel[kernel]
            break
    # One stage: loads ahead of the walks' few steps take more instructions than they save.
    options = dict(num_warps=warps, num_stages=1)
    # Without a limit, NVIDIA's compiler spills registers to fit one more program on a processor.
    return options if torch.version.hip else options | {'maxnreg': registers}


class _Call(NamedTuple):
    """What all launches of one call share; `constants` are what kernels are compiled for."""

    B: int
    T: int
    H: int
    gates: dict[str, Tensor]
    constants: dict

    @property
    def sub_chunks(self) -> int:
        return triton.cdiv(self.T, BC.value)

    @property
    def chunks(self) -> int:
        return triton.cdiv(self.sub_chunks, NS.value)

    @property
    def opens(self) -> bool:
        """Whether open chunks have kernels of their own, which want tf32 and narrow tiles."""
        c = self.constants
        return OPENS and c['PRECISION'] == 'tf32' and c['BK'] * c['BV'] <= 2048

    def options(self, kernel: str) -> dict[str, int]:
        c = self.constants
        return launch_options(kernel, c['BK'], c['BV'], c['PRECISION'])

    def arguments(self, **tensors: Tensor) -> dict:
        """Keyword arguments of a kernel for these tensors and the gates: pointers and strides."""
        tensors |= self.gates
        pointers = {f'p_{name}': x for name, x in tensors.items()}
        strides = {
            f's_{name}{axis}': stride
            for name, x in tensors.items()
            for axis, stride in zip('bthd', x.stride(), strict=True)
        }
        return pointers | strides | dict(T=self.T, N=self.chunks, B=self.B, H=self.H)


def _call(q, k, v, g_fwd, g_bwd, gate_normalizer: float | None, do=None) -> _Call:
    tensors = dict(q=q, k=k, v=v, g_fwd=g_fwd, g_bwd=g_bwd, do=do)
    tensors = {name: x for name, x in tensors.items() if x is not None}
    _check(tensors)
    # For 16-bit inputs the ten bits of tf32 are the finer ones; float32 keeps all of its own.
    precision = 'ieee' if torch.float32 in (q.dtype, k.dtype, v.dtype) else 'tf32'
    B, T, H, K = q.shape
    V = v.shape[-1]
    BK, BV = blocks(K, V, precision)
    constants = dict(
        K=K, V=V, BK=BK, BV=BV, NORM=0.0 if gate_normalizer is None else gate_normalizer,
        HAS_FWD=g_fwd is not None, HAS_BWD=g_bwd is not None,
        ALIGNED=all(_aligned(x) for x in tensors.values()),
        PRECISION=precision,
    )  # fmt: skip
    # In the place of an absent gate stands the other one, never read: its HAS_* is False.
    gates = dict(gf=g_bwd if g_fwd is None else g_fwd, gb=g_fwd if g_bwd is None else g_bwd)
    return _Call(B, T, H, gates, constants)


def _aligned(x: Tensor) -> bool:
    """Whether heads are rows of neighbours that begin at multiples of 16 bytes: wide loads."""
    starts = (stride for stride, size in zip(x.stride()[:3], x.shape, strict=False) if size > 1)
    return (
        x.stride(-1) == 1
        and x.data_ptr() % 16 == 0
        and all(stride * x.itemsize % 16 == 0 for stride in starts)
    )


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


def _states(
    call: _Call, x: Tensor, y: Tensor, of_keys: bool, ends: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """The states [2, B, H, N, K, V] that enter each chunk, of keys and values or of gradients, and
    the decays [2, B, H, N, K] of chunks.

    `ends` are the states [2, B, H, K, V] that the walks begin with, and where their last ones go.
    """
    c = call.constants
    rows = call.B * call.H
    shape = (2, call.B, call.H, call.chunks, c['K'])
    own = torch.empty(*shape, c['V'], dtype=torch.float32, device=x.device)
    decay = torch.empty(shape, dtype=torch.float32, device=x.device)
    bi_gla_kernel_state[(call.chunks, triton.cdiv(c['V'], c['BV']), rows)](
        **call.arguments(x=x, y=y), p_state=own, p_decay=decay, **c, OF_KEYS=of_keys,
        **call.options('state'),
    )  # fmt: skip
    entering = torch.empty_like(own)
    directions = c['HAS_FWD'] + c['HAS_BWD']
    # In the place of absent ends stand others, neither read nor written: STATES is False.
    initial, last = ends or (own, entering)
    bi_gla_kernel_scan[(triton.cdiv(c['K'] * c['V'], SCAN_ENTRIES), directions * rows)](
        p_state=own, p_decay=decay, p_entering=entering, p_initial=initial, p_last=last,
        N=call.chunks, rows=rows, K=c['K'], V=c['V'], BN=SCAN_CHUNKS, BE=SCAN_ENTRIES,
        HAS_FWD=c['HAS_FWD'], OF_KEYS=of_keys, STATES=ends is not None, num_warps=SCAN_WARPS,
    )  # fmt: skip
    return entering, decay


def _on_device(x: Tensor):
    """Triton launches on the current device, which need not be the tensors'."""
    return torch.cuda.device(x.device) if x.device.type == 'cuda' else nullcontext()


def triton_forward(
    q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None
) -> Tensor:
    """Output o [B, T, H, V] in v's dtype, accumulated in float32."""
    return _forward(_call(q, k, v, g_fwd, g_bwd, gate_normalizer), q, k, v, scale)


def triton_states(
    q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale: float,
    gate_normalizer: float | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Output, and the state [B, H, K, V] that each direction leaves; None where it does not run."""
    call = _call(q, k, v, g_fwd, g_bwd, gate_normalizer)
    shape = (2, call.B, call.H, q.shape[-1], v.shape[-1])
    initial = torch.zeros(shape, dtype=torch.float32, device=q.device)
    for state, given in zip(initial, (initial_fwd, initial_bwd), strict=True):
        if given is not None:
            state.copy_(given)
    last = torch.empty_like(initial)
    out = _forward(call, q, k, v, scale, (initial, last))
    # Copies, since outputs of an operator must not share memory.
    return out, *(
        None if g is None else state.clone() for g, state in zip((g_fwd, g_bwd), last, strict=True)
    )


def _forward(call: _Call, q, k, v, scale: float, ends=None) -> Tensor:
    c = call.constants
    out = torch.empty(v.shape, dtype=v.dtype, device=v.device)
    with _on_device(q):
        entering, decay = _states(call, k, v, of_keys=True, ends=ends)
        factor = scale / (c['HAS_FWD'] + c['HAS_BWD'])
        tensors = call.arguments(q=q, k=k, v=v)
        if call.opens:
            bi_gla_kernel_open_output[(call.chunks, call.H, call.B)](
                **tensors, p_states=entering, p_decay=decay, p_o=out, factor=factor,
                **c, SWAPPED=False, **call.options('open_output'),
            )  # fmt: skip
        bi_gla_kernel_output[(call.sub_chunks, call.B * call.H)](
            **tensors, p_entering=entering, p_decay=decay, p_o=out, factor=factor,
            **c, REST=call.opens, **call.options('output'),
        )  # fmt: skip
    return out


def triton_backward(
    do, q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None
) -> tuple[Tensor | None, ...]:
    """Gradients of q, k, v and both gates, in their shapes and dtypes; None for no gate."""
    call = _call(q, k, v, g_fwd, g_bwd, gate_normalizer, do)
    c = dict(call.constants)
    dq, dk, dv, dgf, dgb = (
        None if x is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for x in (q, k, v, g_fwd, g_bwd)
    )
    with _on_device(q):
        entering, decay = _states(call, k, v, of_keys=True)
        leaving, _ = _states(call, q, do, of_keys=False)
        factor = scale / (c['HAS_FWD'] + c['HAS_BWD'])
        tensors = call.arguments(q=q, k=k, v=v, do=do) | dict(
            p_entering=entering, p_leaving=leaving, p_decay=decay, p_dq=dq, p_dk=dk,
            # In the place of an absent one stands the other, never written: HAS_* is False.
            p_dgf=dgb if dgf is None else dgf, p_dgb=dgf if dgb is None else dgb, factor=factor,
        )  # fmt: skip
        if call.opens:
            bi_gla_kernel_open_output[(call.chunks, call.H, call.B)](
                **call.arguments(q=q, k=k, v=do), p_states=leaving, p_decay=decay, p_o=dv,
                factor=factor, **c, SWAPPED=True, **call.options('open_output'),
            )  # fmt: skip
        # Both directions in one launch would need more warps, or spill.
        split = c['HAS_FWD'] and c['HAS_BWD']
        passes = (True, False), (False, True)
        for has_fwd, has_bwd in passes if split else [(c['HAS_FWD'], c['HAS_BWD'])]:
            c |= dict(HAS_FWD=has_fwd, HAS_BWD=has_bwd, BOTH=split, ADD=split and has_bwd)
            if call.opens:
                bi_gla_kernel_open_gradients[(call.chunks, call.H, call.B)](
                    **tensors, **c, **call.options('open_gradients')
                )
            bi_gla_kernel_gradients[(call.sub_chunks, call.B * call.H)](
                **tensors, p_dv=dv, **c, REST=call.opens, **call.options('gradients')
            )
    return dq, dk, dv, dgf, dgb
