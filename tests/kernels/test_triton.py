"""The Triton backend on small shapes: on a GPU where there is one, else in Triton's interpreter.

The suite of the other backends, on shapes that cross the borders of sub-chunks (16), chunks (64)
and scan tiles. Interpreted products are cut to the precision of tensor cores.
"""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings, target

from mmvig.kernels import bi_gla
from mmvig.kernels import triton as triton_backend
from mmvig.kernels.api import BACKENDS
from mmvig.kernels.reference import bi_gla_reference
from tests.support.interpreter import quick_interpreter
from tests.support.op_budgets import (
    TENSOR_CORES,
    assert_within_rounding_bounds,
    assert_within_twice_the_loop,
)
from tests.support.op_cases import inputs, run
from tests.support.op_states import in_parts, states_for
from tests.support.op_strategies import PLAIN, Case, cases, cases_in_parts

pytestmark = pytest.mark.slow

TRITON = BACKENDS['triton']


def tf32(x: np.ndarray) -> np.ndarray:
    """What a tensor core reads of a float32 operand: the ten leading bits of its fraction."""
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) & 0xFFFFE000).view(np.float32)


def test_interpreted_without_a_gpu_only(device):
    assert triton_backend.INTERPRETED is (device == 'cpu')


@pytest.fixture(autouse=True)
def tensor_cores(monkeypatch):
    """Products as precise as on a GPU: the interpreter alone would multiply in full float32."""
    if not triton_backend.INTERPRETED:
        return
    from triton._C.libtriton import ir
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def create_dot(self, a, b, d, input_precision, max_num_imprecise_acc):
        x, y = a.data, b.data
        if input_precision == ir.INPUT_PRECISION.TF32:
            x, y = tf32(x), tf32(y)
        else:
            assert input_precision == ir.INPUT_PRECISION.IEEE
        return TensorHandle(np.matmul(x, y) + d.data, d.dtype.scalar)

    monkeypatch.setattr(InterpreterBuilder, 'create_dot', create_dot)


@pytest.fixture(autouse=True)
def quick():
    with quick_interpreter():
        yield


@pytest.fixture(autouse=True)
def small_scan_tiles(monkeypatch):
    """The interpreter scans entry by entry; small tiles also make it cross their borders."""
    if triton_backend.INTERPRETED:
        monkeypatch.setattr(triton_backend, 'SCAN_CHUNKS', 2)
        monkeypatch.setattr(triton_backend, 'SCAN_ENTRIES', 16)


@pytest.fixture
def inputs_on(device):
    """Inputs in float32 where the backend runs; one image, and interpreted one head, by default."""
    heads = 1 if triton_backend.INTERPRETED else 2
    return partial(inputs, device=device, **{'dtype': torch.float32, 'B': 1, 'H': heads})


@pytest.mark.parametrize('T', [1, 5, 63, 64, 65, 200, 260])
def test_lengths(T, inputs_on, poisoned):
    assert_within_twice_the_loop(TRITON, inputs_on(T))


@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
def test_one_direction(directions, inputs_on, poisoned):
    assert_within_twice_the_loop(TRITON, inputs_on(150), directions)


@pytest.mark.parametrize('gate', [-1e-4, -1.0, -30.0, -200.0])
def test_gates(gate, inputs_on, poisoned):
    """Gates that are open for long carry states over several chunks and tiles of the scan."""
    assert_within_twice_the_loop(TRITON, inputs_on(200 if gate > -1 else 100, gate))


@pytest.mark.parametrize(('K', 'V'), [(1, 1), (16, 32), (3, 20), (17, 65), (200, 3), (2, 256)])
def test_widths(K, V, inputs_on, poisoned):
    """Powers of two and not, V wider than a tile, K too wide for one launch of both directions."""
    T = 33 if V == 256 else 70  # the widest fill 16 tiles, which takes the interpreter long
    assert_within_twice_the_loop(TRITON, inputs_on(T, H=1, K=K, V=V))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision(dtype, inputs_on, poisoned):
    assert_within_twice_the_loop(TRITON, inputs_on(130, dtype=dtype))


@pytest.mark.parametrize(
    ('gate', 'directions', 'dtype'),
    [
        (-1e-4, 'both', torch.bfloat16),
        (-0.1, 'fwd', torch.float16),
        (-0.1, 'bwd', torch.bfloat16),
        (-0.3, 'both', torch.float16),
    ],
)
def test_open_chunks(gate, directions, dtype, inputs_on, poisoned):
    """Gates of 16-bit calls that add up to little, for all kernels or for those of the output."""
    args = inputs_on(150, gate, dtype=dtype, K=16, V=33)
    assert_within_twice_the_loop(TRITON, args, directions)


def test_mixed_dtypes(inputs_on, poisoned):
    q, k, v, g_fwd, g_bwd = inputs_on(70, H=2)
    args = [q.bfloat16(), k.half(), v.bfloat16(), g_fwd, g_bwd.bfloat16()]
    results = run(TRITON, args)
    assert [x.dtype for x in results[1:]] == [x.dtype for x in args]
    assert_within_twice_the_loop(TRITON, args)


@pytest.mark.parametrize('directions', ['both', 'bwd'])
def test_gates_from_logits(directions, inputs_on, poisoned):
    args = inputs_on(70)
    args[3:] = [torch.randn_like(x) * 20 for x in args[3:]]
    truth = run(
        partial(bi_gla_reference, gate_normalizer=16.0), [x.double() for x in args], directions
    )
    results = run(lambda *xs: TRITON(*xs, 16.0), args, directions)
    for x, y in zip(results, truth, strict=True):
        torch.testing.assert_close(x.double(), y, atol=3e-6 * y.abs().max().item(), rtol=0)


def test_strides_and_batch(inputs_on, poisoned):
    args = inputs_on(70, B=2, H=2)
    expected = bi_gla(*args, backend='triton')
    channel_major = [x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for x in args]
    every_other = [x.repeat_interleave(2, dim=1)[:, ::2] for x in args]
    for strided in (channel_major, every_other):
        if triton_backend.INTERPRETED:
            out = bi_gla(*strided, backend='triton')
            torch.testing.assert_close(out, expected, atol=0, rtol=0)
        else:  # compiled for other strides, sums may have another order
            assert_within_twice_the_loop(partial(call_with_strides_of, strided), args)
    alone = bi_gla(*(x[1:] for x in args), backend='triton')
    torch.testing.assert_close(alone, expected[1:], atol=0, rtol=0)


def call_with_strides_of(likes, *args):
    """The operator on tensors with the numbers of the arguments and the strides of `likes`."""
    tensors = [
        torch.empty_strided(like.shape, like.stride(), dtype=x.dtype, device=x.device).copy_(x)
        for like, x in zip(likes, args, strict=False)
    ]
    return TRITON(*tensors, args[-1])


def test_broadcast_gates(inputs_on, device, poisoned):
    q, k, v, *_ = inputs_on(70, H=2)
    decay = torch.tensor([-0.05, -0.7], requires_grad=True, device=device)
    grads = []
    for backend in ('triton', 'reference'):
        gate = decay[:, None].expand(q.shape)
        out = bi_gla(q, k, v, gate, gate, backend=backend)
        grads.append(torch.autograd.grad(out.square().sum(), decay)[0])
    torch.testing.assert_close(*grads, rtol=2e-5, atol=0)


def test_runs_are_equal_to_the_bit(inputs_on):
    args = inputs_on(100)
    torch.testing.assert_close(run(TRITON, args), run(TRITON, args), atol=0, rtol=0)


def test_operator_contract(inputs_on):
    args = [x.requires_grad_() for x in inputs_on(20, H=1, K=2, V=3)]
    torch.library.opcheck(torch.ops.mmvig.bi_gla_triton, (*args, 0.5))


TRITON_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


# Half the gates are open, half closed, and the gradients of their logits small: a difference of the
# terms that pass them, which are not, once erred by fourteen times the budget here.
def small_gate_gradients(direction: str) -> Case:
    gate = f'g_{direction}'
    names = ('q', 'k', 'v', gate, 'do')
    return Case(
        sizes=dict(B=1, T=15, H=1, K=1, V=16),
        directions=direction,
        dtypes=dict.fromkeys(names, torch.float16),
        layouts=dict.fromkeys(names, PLAIN),
        gates={gate: 'large'},
        magnitudes=dict(q=0, k=0, v=0, do=0),
        gate_normalizer=1.0,
        scale=None,
        seed=0,
    )


def products_of(case: Case) -> float:
    """The relative error of a term that tensor cores make; float32 keeps all its digits."""
    exact = torch.float32 in (case.dtypes[name] for name in ('q', 'k', 'v'))
    return 0.0 if exact else TENSOR_CORES


# The interpreter is slow: a tenth as many examples as of other backends, and smaller ones.
@settings(max_examples=settings.default.max_examples // 10)
@given(case=cases(TRITON_DTYPES, longest=33, widest=18, heads=1))
@example(case=small_gate_gradients('fwd'))
@example(case=small_gate_gradients('bwd'))
def test_any_call(case, device, poisoned):
    error = assert_within_rounding_bounds(case, 'triton', products_of(case), device)
    assume(error is not None)
    target(error, label='largest error / budget')


@pytest.mark.parametrize('directions', ['both', 'fwd', 'bwd'])
def test_states_of_parts(directions, inputs_on, poisoned):
    """Cuts at the borders of sub-chunks and chunks and beside them, and parts of one token."""
    args = inputs_on(100, H=1)
    states = [state.mT.contiguous().mT for state in states_for(*args)]
    assert not any(state.is_contiguous() for state in states)
    if directions != 'both':
        other = {'fwd': 1, 'bwd': 0}[directions]
        args[3 + other] = states[other] = None
    found = in_parts(*args, cuts=(16, 81, 82), initial=states, backend='triton')
    exact, loop = (
        bi_gla(
            *(None if x is None else x.to(dtype) for x in args),
            initial_states=[None if x is None else x.to(dtype) for x in states],
            return_states=True,
            backend='reference',
        )
        for dtype in (torch.float64, torch.float32)
    )
    for x, true, plain in zip(*map(flat, (found, exact, loop)), strict=True):
        assert x.dtype == torch.float32
        allowed = 2 * (plain.double() - true).abs().max()
        allowed += 2 * torch.finfo(torch.float32).eps * true.abs().max()
        assert (x.double() - true).abs().max() <= allowed


def flat(result) -> list[torch.Tensor]:
    """The output and the states there are."""
    return [result[0], *(state for state in result[1] if state is not None)]


@settings(max_examples=settings.default.max_examples // 20)
@given(chosen=cases_in_parts(2, dtypes=TRITON_DTYPES, longest=33, widest=18, heads=1))
def test_any_parts(chosen, device, poisoned):
    case, parts = chosen
    error = assert_within_rounding_bounds(case, 'triton', products_of(case), device, parts=parts)
    assume(error is not None)
    target(error, label='largest error / budget')


def test_operator_contract_with_states(inputs_on, device):
    args = inputs_on(20, H=1, K=2, V=3)
    state = torch.randn(1, 1, 2, 3, device=device)
    for call in ((*args, None, state, 0.5), (*args[:4], None, state, None, 0.5, 16.0)):
        torch.library.opcheck(torch.ops.mmvig.bi_gla_triton_states, call)


def test_agrees_with_the_chunk_form(inputs_on):
    args = inputs_on(140, -0.5)
    chunked = bi_gla(*args, backend='chunked')
    torch.testing.assert_close(bi_gla(*args, backend='triton'), chunked, atol=1e-5, rtol=0)
    torch.testing.assert_close(bi_gla_reference(*args, 5**-0.5), chunked, atol=1e-5, rtol=0)


def test_unsupported_arguments_are_refused(monkeypatch):
    args = inputs(5)
    with pytest.raises(TypeError, match=r"q is torch.float64; backend 'chunked' computes"):
        bi_gla(*args, backend='triton')
    many = torch.zeros(1, 1, 40_000, 1)
    with pytest.raises(ValueError, match='at most 32767 images × heads, got 1 × 40000'):
        bi_gla(many, many, many, many, None, backend='triton')
    monkeypatch.setattr(triton_backend, 'INTERPRETED', False)
    with pytest.raises(ValueError, match='expects tensors on a GPU, q is on the CPU'):
        bi_gla(*inputs(5, dtype=torch.float32), backend='triton')


def test_too_many_channels_are_refused(inputs_on):
    args = inputs_on(2, K=257)
    with pytest.raises(ValueError, match='at most 256 channels per head, q has 257'):
        bi_gla(*args, backend='triton')
