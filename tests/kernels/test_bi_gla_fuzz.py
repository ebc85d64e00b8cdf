"""The operator on calls chosen by hypothesis: a few fixed ones here, many new ones by `make fuzz`.

`make fuzz` also runs the native backend under AddressSanitizer and UndefinedBehaviorSanitizer.
"""

import pytest
import torch
from hypothesis import assume, example, given, target
from hypothesis import strategies as st

from mmvig.kernels import bi_gla
from mmvig.kernels.api import BACKENDS
from tests.support.op_budgets import assert_within_rounding_bounds
from tests.support.op_calls import PLAIN, Case
from tests.support.op_cases import inputs
from tests.support.op_strategies import cases, cases_in_parts

NAMES = ('q', 'k', 'v', 'g_fwd', 'g_bwd')


@pytest.mark.parametrize('backend', ['reference', 'chunked', 'native'])
@given(case=cases())
def test_any_call(backend, poisoned, case: Case):
    error = assert_within_rounding_bounds(case, backend)
    assume(error is not None)
    target(error, label='largest error / budget')


NARROW = dict.fromkeys(('q', 'k', 'v', 'do'), torch.bfloat16)

# A gate of -9.2 made of a logit: one unit in its last place is 16 of its decay's, and the gradient
# has no term without that decay.
STRONG_GATE = Case(
    sizes=dict(B=1, T=3, H=1, K=2, V=1),
    directions='both',
    dtypes=dict.fromkeys(NAMES, torch.bfloat16) | dict(g_bwd=torch.float32, do=torch.bfloat16),
    layouts=dict.fromkeys((*NAMES, 'do'), PLAIN),
    gates=dict(g_fwd='open', g_bwd='usual'),
    magnitudes=dict.fromkeys(('q', 'k', 'v', 'do'), 0),
    gate_normalizer=1 / 16,
    scale=None,
    seed=0,
)


@pytest.mark.parametrize('backend', ['native'])
@given(case=cases(dtypes=(torch.bfloat16, torch.float32)))
@example(case=STRONG_GATE)
def test_any_call_in_bfloat16(backend, poisoned, case: Case):
    """The native backend reads and writes bfloat16 where q, k and v are, whatever the gates."""
    case = case._replace(dtypes=case.dtypes | NARROW)
    error = assert_within_rounding_bounds(case, backend)
    assume(error is not None)
    target(error, label='largest error / budget')


@pytest.mark.parametrize('backend', ['reference', 'chunked', 'native'])
@given(chosen=cases_in_parts())
def test_any_parts(backend, poisoned, chosen):
    """With states, a part at a time, in the error budget of the whole."""
    case, parts = chosen
    error = assert_within_rounding_bounds(case, backend, parts=parts)
    assume(error is not None)
    target(error, label='largest error / budget')


DTYPES = (torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64, torch.complex128,
          torch.float8_e4m3fn, torch.float8_e5m2)  # fmt: skip
OTHERS = (None, 1.0, 'q', [[[[1.0]]]], torch.zeros(2, 3, 4, 5).numpy())


def _fewer_axes(x, data):
    return x[(0,) * data.draw(st.integers(1, 4))]


def _more_axes(x, data):
    return x[(None,) * data.draw(st.integers(1, 3))]


def _other_size(x, data, axes=4):
    """One size less, more, 1, or none, on one axis."""
    axis = data.draw(st.integers(0, axes - 1))
    wrong = [n for n in (0, 1, x.shape[axis] - 1, x.shape[axis] + 1) if n != x.shape[axis]]
    shape = list(x.shape)
    shape[axis] = data.draw(st.sampled_from(wrong))
    return torch.zeros(shape, dtype=x.dtype)


def _other_dtype(x, data):
    return x.to(data.draw(st.sampled_from(DTYPES)))


def _no_tensor(x, data):
    return data.draw(st.sampled_from(OTHERS))


def _elsewhere(x, data):
    return x.to('meta')


def _not_dense(x, data):
    makers = (torch.Tensor.to_sparse, torch.Tensor.to_mkldnn)
    nested = lambda x: torch.nested.nested_tensor(list(x))  # noqa: E731
    return data.draw(st.sampled_from((*makers, nested)))(x)


SPOILS = (_fewer_axes, _more_axes, _other_size, _other_dtype, _no_tensor, _elsewhere, _not_dense)
OPTIONS = (
    *(dict(gate_normalizer=n) for n in (0, 0.0, -1, float('nan'), float('inf'), '16', 1j)),
    *(dict(scale=scale) for scale in ('x', 1j, [1.0])),
    *(dict(backend=name) for name in ('', 'nativ', None, 1, ())),
)


@pytest.mark.parametrize('backend', ['auto', *BACKENDS])
@given(data=st.data())
def test_any_wrong_call_is_refused(backend, data):
    """Not a crash, not a number, and not an error from somewhere inside."""
    sizes = {name: data.draw(st.integers(2, 5), label=name) for name in 'TBHKV'}
    args = dict(zip(NAMES, inputs(**sizes, dtype=torch.float32), strict=True))
    options = dict(backend=backend)
    gates = data.draw(st.sampled_from([(), ('g_fwd',), ('g_bwd',)]), label='no gates')
    for name in gates:
        args[name] = None
    kind = data.draw(st.sampled_from(['one', 'empty', 'option', 'no gate', 'state']))
    if kind == 'one':
        name = data.draw(st.sampled_from([name for name in NAMES if args[name] is not None]))
        spoil = data.draw(st.sampled_from(SPOILS))
        # v may have any width.
        limits = dict(axes=3) if (name, spoil) == ('v', _other_size) else {}
        spoilt = spoil(args[name], data, **limits)
        if spoilt is None and name.startswith('g') and not gates:
            return  # a call with one gate
        args[name] = spoilt
    elif kind == 'empty':
        axis = data.draw(st.integers(0, 3))
        names = NAMES if axis < 3 else data.draw(st.sampled_from([('v',), NAMES]))
        for name in names:
            if args[name] is not None:
                args[name] = args[name].narrow(axis, 0, 0)
    elif kind == 'option':
        options |= data.draw(st.sampled_from(OPTIONS))
    elif kind == 'state':
        B, H, K, V = (sizes[axis] for axis in 'BHKV')
        states = [None if args[gate] is None else torch.zeros(B, H, K, V) for gate in NAMES[3:]]
        which = data.draw(st.integers(0, 1))
        if states[which] is None:
            states[which] = torch.zeros(B, H, K, V)  # of a direction that does not run
        else:
            states[which] = data.draw(st.sampled_from(SPOILS))(states[which], data)
            if states[which] is None:
                return  # a call with one state
        options['initial_states'] = tuple(states)
    else:
        args['g_fwd'] = args['g_bwd'] = None
    with pytest.raises((TypeError, ValueError)):
        bi_gla(*args.values(), **options)
