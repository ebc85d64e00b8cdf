"""The operator: every backend against the recurrence in float64, and against its mathematics."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from mmvig.kernels import api, bi_gla
from mmvig.kernels.api import BACKENDS
from mmvig.kernels.chunked import chunked_forward
from mmvig.kernels.reference import bi_gla_reference
from tests.support.op_budgets import assert_within_twice_the_loop
from tests.support.op_cases import GATES, inputs, run

LENGTHS = (1, 5, 63, 64, 65, 200, 1000)
FAST = ('chunked', 'native')  # backends with a backward pass of their own
EXACT = ('reference', *FAST)  # backends that compute in float64


@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('T', LENGTHS)
@pytest.mark.parametrize('gate', [*GATES, 'mixed'])
def test_float64_equals_the_recurrence(backend, T, gate, poisoned):
    args = inputs(T, gate)
    for x, y in zip(run(BACKENDS[backend], args), run(bi_gla_reference, args), strict=True):
        torch.testing.assert_close(x, y, atol=1e-12 * max(1, y.abs().max().item()), rtol=0)


@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
@pytest.mark.parametrize('T', [1, 5, 65, 200])
def test_one_direction(backend, T, directions, poisoned):
    args = inputs(T)
    for x, y in zip(
        run(BACKENDS[backend], args, directions),
        run(bi_gla_reference, args, directions),
        strict=True,
    ):
        torch.testing.assert_close(x, y, atol=1e-12, rtol=0)


@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('gate', [-1e-4, -1.0, 'mixed'])
def test_low_precision(backend, dtype, gate):
    assert_within_twice_the_loop(BACKENDS[backend], inputs(200, gate, dtype))


@pytest.mark.parametrize('backend', FAST)
def test_mixed_dtypes_under_autocast(backend):
    q, k, v, g_fwd, g_bwd = inputs(70, dtype=torch.float32)
    args = [q.bfloat16(), k.bfloat16(), v.bfloat16(), g_fwd, g_bwd]
    with torch.autocast('cpu', torch.bfloat16):
        results = run(BACKENDS[backend], args)
    assert [x.dtype for x in results[1:]] == [x.dtype for x in args]
    assert_within_twice_the_loop(BACKENDS[backend], args)
    torch.testing.assert_close(results, run(BACKENDS[backend], args), atol=0, rtol=0)


@pytest.mark.parametrize('backend', FAST)
def test_long_sequence_of_small_gates_behind_large_ones(backend):
    """Differences of cumulative sums, which grow to -8000, would lose the small gates here."""
    q, k, v, g, h = inputs(1024, dtype=torch.float32, B=1, H=1, K=4, V=4)
    for gate in (g, h):
        gate.fill_(-1e-3)
        gate[:, ::97] = -800.0
    assert_within_twice_the_loop(BACKENDS[backend], [q, k, v, g, h])


@pytest.mark.parametrize(
    ('backend', 'T'), [('reference', 9), *((name, T) for name in FAST for T in (1, 9, 33))]
)
def test_gradcheck(backend, T):
    args = [x.requires_grad_() for x in inputs(T, B=1, K=3, V=2)]
    args[3], args[4] = (g.detach().clamp(-3).requires_grad_() for g in args[3:])
    assert torch.autograd.gradcheck(lambda *xs: bi_gla(*xs, backend=backend), args)


@pytest.mark.parametrize('chunk', [1, 2, 8, 64, 256])
def test_chunk_size_does_not_matter(chunk):
    args = inputs(150)
    expected = bi_gla_reference(*args, 0.5)
    torch.testing.assert_close(
        chunked_forward(*args, 0.5, chunk=chunk), expected, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize('backend', EXACT)
def test_strides_are_free(backend):
    """Token-major, channel-major and sliced inputs give the numbers of contiguous ones."""
    args = inputs(65)
    channel_major = [x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for x in args]
    wide = [torch.cat([x, x], dim=-1)[..., : x.shape[-1]] for x in args]
    every_other = [x.repeat_interleave(2, dim=1)[:, ::2] for x in args]
    expected = bi_gla(*args, backend=backend)
    for strided in (channel_major, wide, every_other):
        assert not any(x.is_contiguous() for x in strided)
        torch.testing.assert_close(bi_gla(*strided, backend=backend), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_broadcast_gates(backend):
    """One constant per head, as in retention; its gradient is the sum over what it stands for."""
    q, k, v, *_ = inputs(70)
    decay = torch.tensor([-0.05, -0.7], dtype=torch.float64, requires_grad=True)
    gate = decay[:, None].expand(q.shape)
    out = bi_gla(q, k, v, gate, gate, backend=backend)
    full = gate.detach().clone().requires_grad_()
    expected = bi_gla(q, k, v, full, full, backend='reference')
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    (grad,) = torch.autograd.grad(out.square().sum(), decay)
    (full_grad,) = torch.autograd.grad(expected.square().sum(), full)
    torch.testing.assert_close(grad, full_grad.sum((0, 1, 3)), atol=1e-11, rtol=1e-12)


@pytest.mark.parametrize('directions', ['both', 'fwd', 'bwd'])
def test_gates_from_logits(directions, poisoned):
    """logsigmoid(x) / 16 inside the operator: the numbers and gradients of doing it outside."""
    args = inputs(150)
    args[3:] = [torch.randn_like(x) * 20 for x in args[3:]]

    def outside(q, k, v, x_fwd, x_bwd, scale):
        gates = [None if x is None else F.logsigmoid(x) / 16 for x in (x_fwd, x_bwd)]
        return bi_gla_reference(q, k, v, *gates, scale)

    expected = run(outside, args, directions)
    for backend in EXACT:

        def inside(q, k, v, x_fwd, x_bwd, scale, backend=backend):
            return bi_gla(q, k, v, x_fwd, x_bwd, gate_normalizer=16, backend=backend)

        for x, y in zip(run(inside, args, directions), expected, strict=True):
            torch.testing.assert_close(x, y, atol=1e-12, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_reversal_exchanges_the_gates(backend):
    q, k, v, g_fwd, g_bwd = inputs(77)
    flipped = bi_gla(q.flip(1), k.flip(1), v.flip(1), g_bwd.flip(1), g_fwd.flip(1), backend=backend)
    out = bi_gla(q, k, v, g_fwd, g_bwd, backend=backend)
    torch.testing.assert_close(flipped.flip(1), out, atol=1e-12, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_zero_gates_are_linear_attention(backend):
    """Without decay both directions together see every token once and the own one twice."""
    q, k, v, g, _ = inputs(70)
    scores = q.shape[-1] ** -0.5 * torch.einsum('bthk,bshk->bhts', q, k)
    scores = scores * (1 + torch.eye(70, dtype=torch.float64)) / 2
    expected = torch.einsum('bhts,bshv->bthv', scores, v)
    out = bi_gla(q, k, v, 0 * g, 0 * g, backend=backend)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize('backend', EXACT)
@pytest.mark.parametrize('gate', [-200.0, float('-inf')])
def test_closed_gates_leave_the_own_token(backend, gate):
    q, k, v, g, _ = inputs(70)
    expected = (q * k).sum(-1, keepdim=True) * q.shape[-1] ** -0.5 * v
    out = bi_gla(q, k, v, g * 0 - 1 + gate, g * 0 - 1 + gate, backend=backend)
    torch.testing.assert_close(out, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_batch_invariance(backend):
    args = inputs(70, B=3)
    out = bi_gla(*args, backend=backend)
    for i in range(3):
        alone = bi_gla(*(x[i : i + 1] for x in args), backend=backend)
        torch.testing.assert_close(out[i : i + 1], alone, atol=1e-13, rtol=0)


@pytest.mark.parametrize('backend', FAST)
def test_runs_are_equal_to_the_bit(backend):
    args = inputs(300, dtype=torch.float32)
    torch.testing.assert_close(
        run(BACKENDS[backend], args), run(BACKENDS[backend], args), atol=0, rtol=0
    )


@pytest.mark.parametrize('backend', FAST)
def test_operator_contract(backend):
    """Schema, fake kernel and autograd registration as torch checks them."""
    args = [x.requires_grad_() for x in inputs(40, B=1, dtype=torch.float32)]
    for gates in ((args[3], args[4]), (args[3], None), (None, args[4])):
        torch.library.opcheck(BACKENDS[backend], (*args[:3], *gates, 0.5))


def test_compiles_without_a_graph_break():
    args = [x.requires_grad_() for x in inputs(40, dtype=torch.float32)]

    def function(q, k, v, g_fwd, g_bwd):
        return bi_gla(q * 2, k, v, g_fwd - 1, g_bwd).relu()

    out = torch.compile(function, fullgraph=True, backend='aot_eager')(*args)
    expected = function(*args)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(
        torch.autograd.grad(out.sum(), args), torch.autograd.grad(expected.sum(), args)
    )


@pytest.mark.parametrize(
    ('capability', 'backend'), [((7, 5), 'chunked'), ((8, 0), 'triton'), ((12, 0), 'triton')]
)
def test_auto_asks_what_a_gpu_can_do(capability, backend, monkeypatch):
    """On fake tensors: there is no GPU. Said once, not at every call."""
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    api._is_too_old.cache_clear()
    called = []
    for name in BACKENDS:
        monkeypatch.setitem(BACKENDS, name, lambda *args, name=name: called.append(name))
    with FakeTensorMode(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        args = [torch.empty(2, 10, 2, 16, device='cuda') for _ in range(5)]
        bi_gla(*args)
        bi_gla(*args)
    assert called == [backend] * 2
    said = [str(warning.message) for warning in caught]
    expected = 'capability 8.0 and up, got 7.5'
    assert [expected in message for message in said] == [True] * (backend == 'chunked')


def test_flops_are_those_of_the_recurrence():
    from torch.utils.flop_counter import FlopCounterMode

    args = inputs(100, B=2, H=3, K=4, V=6)
    with FlopCounterMode(display=False) as counter:
        bi_gla(*args, backend='chunked')
    assert counter.get_total_flops() == 2 * 100 * 3 * 4 * 6 * 8


def test_bad_arguments_name_what_was_expected():
    q, k, v, g, h = inputs(10)
    cases = [
        (TypeError, 'floating-point', (q.long(), k, v, g, h), {}),
        (
            TypeError,
            '16, 32 or 64 bits, got torch.float8',
            (q.to(torch.float8_e5m2), k, v, g, h),
            {},
        ),
        (ValueError, 'dense tensor, got layout torch.sparse_coo', (q.to_sparse(), k, v, g, h), {}),
        (TypeError, 'got NoneType', (q, None, v, g, h), {}),
        (ValueError, r'\[B, T, H, K\]', (q[0], k, v, g, h), {}),
        (ValueError, 'expected k of shape', (q, k[:, :9], v, g, h), {}),
        (ValueError, 'expected v of shape', (q, k, v[:, :, :1], g, h), {}),
        (ValueError, 'expected g_bwd of shape', (q, k, v, g, h[..., :1]), {}),
        (ValueError, 'none of them 0', (q[:, :0], k[:, :0], v[:, :0], g[:, :0], None), {}),
        (ValueError, 'both are None', (q, k, v, None, None), {}),
        (ValueError, 'above 0 or None, got -1', (q, k, v, g, h), {'gate_normalizer': -1}),
        (ValueError, 'one device', (q, k, v.to('meta'), g, h), {}),
        (ValueError, "auto, reference, chunked.*'fast'", (q, k, v, g, h), {'backend': 'fast'}),
    ]
    for error, message, args, kwargs in cases:
        with pytest.raises(error, match=message):
            bi_gla(*args, **kwargs)
