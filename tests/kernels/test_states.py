"""States of the operator: a sequence in parts is the sequence, in every backend."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmvig.kernels import api, bi_gla
from tests.support.op_cases import GATES, inputs
from tests.support.op_states import as_tokens, in_parts, states_for

EXACT = ('reference', 'chunked', 'native')  # backends that compute in float64
OPERATORS = [f'bi_gla_{name}_states' for name in ('chunked', 'native')]
CLOSED = float('-inf')
CUTS = ((1,), (32, 64), (7, 8, 99), range(1, 100))  # the last: token by token


def one_direction(args, states, directions: str):
    """Arguments and initial states without what the other direction would need."""
    q, k, v, g_fwd, g_bwd = args
    if directions == 'fwd':
        return [q, k, v, g_fwd, None], (states[0], None)
    if directions == 'bwd':
        return [q, k, v, None, g_bwd], (None, states[1])
    return args, states


@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
@pytest.mark.parametrize('backend', EXACT)
def test_a_state_is_what_tokens_before_it_leave(backend, directions, poisoned):
    """An initial state equals K tokens that write it, a last one what K tokens read; float64."""
    args = inputs(70)
    args[3:] = (g.clamp(-3) for g in args[3:])
    args, states = one_direction(args, states_for(*args), directions)
    out, last = bi_gla(*args, scale=1, initial_states=states, return_states=True, backend=backend)
    which = ('fwd', 'bwd').index(directions)
    assert last[1 - which] is None
    q, k, v, g = (x if directions == 'fwd' else x.flip(1) for x in (*args[:3], args[3 + which]))
    whole = bi_gla(*as_tokens(states[which], q, k, v, g), None, scale=1, backend='reference')
    K = q.shape[-1]
    _, expected, rows = whole.split((K, 70, K), dim=1)
    expected = expected if directions == 'fwd' else expected.flip(1)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(last[which], rows.transpose(1, 2), atol=1e-12, rtol=0)


@pytest.mark.parametrize('directions', ['both', 'fwd', 'bwd'])
@pytest.mark.parametrize('cuts', CUTS, ids=len)
@pytest.mark.parametrize('backend', EXACT)
def test_parts_equal_the_whole(backend, cuts, directions, poisoned):
    """Also where chunks end and begin, and token by token; measured: 5e-15."""
    args = inputs(100)
    args, states = one_direction(args, states_for(*args), directions)
    kwargs = dict(initial_states=states, return_states=True, backend='reference')
    expected, last = bi_gla(*args, **kwargs)
    found = in_parts(*args, cuts=cuts, initial=states, backend=backend)
    torch.testing.assert_close(found, (expected, last), atol=1e-12, rtol=0)


@pytest.mark.parametrize('gate', [*GATES, CLOSED, 'logits'])
@pytest.mark.parametrize('backend', EXACT)
def test_gates(backend, gate, poisoned):
    """Of any size, and from logits: what follows the last token of a chunk must not decay."""
    args, options = inputs(75), {}
    if gate == 'logits':
        args[3:] = (torch.randn_like(g) * 20 for g in args[3:])
        options = dict(gate_normalizer=16)
    else:
        args[3:] = (torch.full_like(g, gate) for g in args[3:])
    states = states_for(*args)
    expected = bi_gla(
        *args, initial_states=states, return_states=True, backend='reference', **options
    )
    found = in_parts(*args, cuts=(3, 40), initial=states, backend=backend, **options)
    size = max(1, *(state.abs().max().item() for state in expected[1]))
    torch.testing.assert_close(found, expected, atol=1e-12 * size, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_one_gate_per_head_and_strided_states(backend):
    """Broadcast gates, as in retention, and a state that lies in memory the other way round."""
    q, k, v, *_ = inputs(40)
    gate = torch.tensor([-0.05, -0.7], dtype=torch.float64)[:, None].expand(q.shape)
    states = states_for(q, k, v)
    strided = tuple(state.mT.contiguous().mT for state in states)
    assert not any(state.is_contiguous() for state in strided)
    full = [q, k, v, gate.contiguous(), gate.contiguous()]
    expected = in_parts(*full, cuts=(11,), initial=states, backend='reference')
    found = in_parts(q, k, v, gate, gate, cuts=(11,), initial=strided, backend=backend)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_states_are_float32_whatever_the_inputs(backend):
    args = [x.bfloat16() for x in inputs(33)]
    with torch.autocast('cpu', torch.bfloat16):
        out, last = bi_gla(*args, return_states=True, backend=backend)
        again = bi_gla(*args, initial_states=last, backend=backend)
    assert out.dtype == again.dtype == torch.bfloat16
    assert [state.dtype for state in last] == [torch.float32] * 2
    expected = bi_gla(*args, initial_states=last, backend=backend)
    torch.testing.assert_close(again, expected, atol=0, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_states_given_are_not_written_to(backend):
    args = inputs(40)
    states = states_for(*args)
    before = [state.clone() for state in states]
    bi_gla(*args, initial_states=states, return_states=True, backend=backend)
    torch.testing.assert_close(list(states), before, atol=0, rtol=0)


@pytest.mark.parametrize('backend', EXACT)
def test_zeros_are_no_state(backend):
    """To the bit, and so are no states given while they are returned."""
    args = inputs(40, dtype=torch.float32)
    zeros = tuple(torch.zeros_like(state) for state in states_for(*args))
    expected = bi_gla(*args, backend=backend)
    for kwargs in (dict(initial_states=zeros), dict(return_states=True)):
        found = bi_gla(*args, **kwargs, backend=backend)
        found = found[0] if 'return_states' in kwargs else found
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize('name', OPERATORS)
def test_operator_contract(name):
    args = inputs(40, B=1, dtype=torch.float32)
    fwd, bwd = states_for(*args)
    operator = getattr(torch.ops.mmvig, name)
    q, k, v, g_fwd, g_bwd = args
    for call in (
        (*args, fwd, bwd, 0.5),
        (*args, None, bwd, 0.5, 16.0),
        (q, k, v, g_fwd, None, fwd, None, 0.5),
        (q, k, v, None, g_bwd, None, None, 0.5),
    ):
        torch.library.opcheck(operator, call)


def test_operators_without_states_are_what_they_were():
    """Programs that were exported call them by name and signature."""
    arguments = 'Tensor q, Tensor k, Tensor v, Tensor? g_fwd, Tensor? g_bwd, float scale, '
    arguments += 'float? gate_normalizer=None'
    for backend in ('chunked', 'native', 'triton'):
        schema = str(getattr(torch.ops.mmvig, f'bi_gla_{backend}').default._schema)
        assert schema == f'mmvig::bi_gla_{backend}({arguments}) -> Tensor'


def test_compiles_without_a_graph_break():
    args = inputs(40, dtype=torch.float32)

    def function(states, *args):
        out, states = bi_gla(*args, initial_states=states, return_states=True)
        return out.relu(), states

    states = states_for(*args)
    compiled = torch.compile(function, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(states, *args), function(states, *args))


def test_shapes_without_numbers_and_flops():
    """On fake tensors, in each operator; a state that is carried costs nothing."""
    with FakeTensorMode():
        args = [torch.empty(2, 10, 3, 4, dtype=torch.bfloat16) for _ in range(5)]
        for backend in ('chunked', 'native', 'triton'):
            out, last = bi_gla(*args, return_states=True, backend=backend)
            assert (out.shape, out.dtype) == ((2, 10, 3, 4), torch.bfloat16)
            for state in last:
                assert (state.shape, state.dtype) == ((2, 3, 4, 4), torch.float32)
    args = inputs(100, B=2, H=3, K=4, V=6)
    with FlopCounterMode(display=False) as counter:
        bi_gla(*args, return_states=True, backend='chunked')
    assert counter.get_total_flops() == 2 * 100 * 3 * 4 * 6 * 8


@pytest.mark.parametrize('backend', [*EXACT, 'triton'])
def test_gradients_are_refused_by_every_backend(backend):
    args = inputs(4, dtype=torch.float32)
    fwd, bwd = states_for(*args)
    for x, kwargs in (
        (args[2], dict(return_states=True)),
        (args[4], dict(initial_states=(fwd, None))),
        (bwd, dict(initial_states=(None, bwd))),
    ):
        x.requires_grad_()
        with pytest.raises(RuntimeError, match=r'no gradients: .* under torch.no_grad\(\)'):
            bi_gla(*args, **kwargs, backend=backend)
        with torch.no_grad():
            bi_gla(*args, **kwargs, backend='reference')
        x.requires_grad_(False)


def test_bad_states_name_what_was_expected():
    q, k, v, g, h = inputs(10)
    fwd, bwd = states_for(q, k, v)
    pair = 'initial_states to be a pair'
    cases = [
        (TypeError, f'{pair} .* got Tensor', (g, h), fwd),
        (TypeError, f'{pair} .* got 3', (g, h), (fwd, bwd, None)),
        (TypeError, f'{pair} .* got NoneType', (g, h), None),
        (TypeError, 'state of bwd to be a floating-point .* got float', (g, h), (fwd, 0.0)),
        (TypeError, 'in torch.float64, .*; got torch.float32', (g, h), (fwd.float(), bwd)),
        (ValueError, 'dense tensor, got layout torch.sparse_coo', (g, h), (fwd.to_sparse(), None)),
        (ValueError, r'here \[2, 2, 5, 7\]; got \[2, 2, 7, 5\]', (g, h), (None, bwd.mT)),
        (ValueError, r'here \[2, 2, 5, 7\]; got \[5, 7\]', (g, h), (fwd[0, 0], None)),
        (ValueError, 'one device; .* state of fwd on meta', (g, h), (fwd.to('meta'), None)),
        (ValueError, 'state of bwd to be None, as g_bwd is', (g, None), (fwd, bwd)),
        (ValueError, 'state of fwd to be None, as g_fwd is', (None, h), (fwd, None)),
    ]
    for backend in ('auto', *api.BACKENDS):
        for error, message, gates, states in cases:
            with pytest.raises(error, match=message):
                bi_gla(q, k, v, *gates, initial_states=states, backend=backend)
