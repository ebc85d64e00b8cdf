"""Token-wise layers in C++ against float64, and where torch's formulas run instead."""

import ctypes
import platform
import subprocess
import warnings

import pytest
import torch

from mmvig.kernels.native import build
from mmvig.ops import native
from mmvig.ops.blend import blend
from mmvig.ops.rms_norm import rms_norm
from mmvig.ops.swiglu import swiglu
from tests.support.tokenwise_cases import LAYERS, largest_share_of_budget, run

DTYPES = [torch.float32, torch.bfloat16]
# The width that the compiler knows, widths that fill no register, and several blocks of a thread.
SHAPES = [(1, 1), (3, 5, 32), (2, 7, 3), (50, 96), (1100, 3, 32), (200, 300)]


@pytest.fixture
def native_calls(monkeypatch) -> list[str]:
    """The names of the functions in C++ that are called."""
    calls, original = [], native._call
    monkeypatch.setattr(
        native, '_call', lambda name, *args: calls.append(name) or original(name, *args)
    )
    return calls


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', LAYERS)
def test_as_exact_as_torch(name, shape, dtype, native_calls, poisoned):
    inputs, dy = LAYERS[name].inputs(shape, dtype), torch.randn(shape)
    assert largest_share_of_budget(LAYERS[name], inputs, dy) <= 1
    assert len(native_calls) == 2, 'forward and backward'


@pytest.mark.parametrize('name', LAYERS)
def test_numbers_in_bfloat16_are_rounded_once(name):
    """Output and gradients are those of float32 on the same numbers, rounded to the nearest."""
    inputs = LAYERS[name].inputs((300, 40), torch.bfloat16)
    dy = torch.randn(300, 40).bfloat16()
    found = run(LAYERS[name].function, inputs, dy)
    expected = run(LAYERS[name].function, [x.float() for x in inputs], dy.float())
    for x, y in zip(found, expected, strict=True):
        half_a_step = 2**-8 if x.dtype == torch.bfloat16 else 0
        # The order of sums differs with the width of the numbers.
        torch.testing.assert_close(x.float(), y, rtol=half_a_step + 1e-6, atol=1e-6)


@pytest.mark.parametrize('name', LAYERS)
def test_threads_do_not_change_a_bit(name):
    inputs, dy = LAYERS[name].inputs((3000, 64), torch.float32), torch.randn(3000, 64)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(run(LAYERS[name].function, inputs, dy))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(results[1:], results[:1] * 2, atol=0, rtol=0)


@pytest.mark.parametrize('name', ['swiglu', 'blend'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_ends_of_the_range(name, dtype):
    """Of the gate: large numbers of both signs, infinity and what is no number, as torch has it."""
    gate = torch.tensor([-1e30, -1e4, -88, -87, -1e-30, 0, 87, 88, 89, 1e4, 1e30, torch.inf])
    gate = torch.cat([gate, torch.tensor([-torch.inf, torch.nan])]).to(dtype)
    others = [torch.full_like(gate, 3.0), torch.full_like(gate, -2.0)]
    inputs = [torch.cat([gate, others[0]])] if name == 'swiglu' else [gate, *others]
    found, expected = (
        run(f, inputs, torch.ones_like(gate)) for f in (LAYERS[name].function, LAYERS[name].formula)
    )
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=1e-36, equal_nan=True)


def test_a_gradient_of_any_strides(native_calls):
    """That of a sum is one number, repeated without memory."""
    for layer in LAYERS.values():
        leaves = [x.requires_grad_() for x in layer.inputs((9, 40), torch.float32)]
        found = torch.autograd.grad(layer.function(*leaves).sum(), leaves)
        expected = torch.autograd.grad(layer.formula(*leaves).sum(), leaves)
        torch.testing.assert_close(found, expected)
    assert len(native_calls) == 6


class Subclass(torch.Tensor):
    pass


UNUSABLE = {
    'float64': lambda x: x.double(),
    'float16': lambda x: x.half(),
    'strides': lambda x: x.repeat_interleave(2, -1)[..., ::2],
    'subclass': lambda x: x.as_subclass(Subclass),
    'empty': lambda x: x[:0],
    'elsewhere': lambda x: x.to('meta'),
    'sparse': lambda x: x.to_sparse(),
}


@pytest.mark.parametrize('kind', UNUSABLE)
def test_where_torch_computes(kind):
    x = torch.randn(6, 8)
    assert native.is_usable(x)
    assert not native.is_usable(UNUSABLE[kind](x))


@pytest.mark.parametrize('kind', ['float64', 'strides', 'subclass', 'sparse'])
def test_all_tensors_are_looked_at(kind):
    x = torch.randn(6, 8)
    assert not native.is_usable(x, UNUSABLE[kind](x))


@pytest.mark.parametrize('kind', ['float64', 'strides', 'subclass', 'empty', 'elsewhere'])
@pytest.mark.parametrize('name', LAYERS)
def test_torchs_formula(name, kind, native_calls):
    inputs = [UNUSABLE[kind](x) for x in LAYERS[name].inputs((6, 8), torch.float32)[:1]]
    inputs += LAYERS[name].inputs((6, 8), torch.float32)[1:] if name == 'rms_norm' else inputs * 2
    inputs = inputs[: 1 if name == 'swiglu' else len(inputs)]
    if kind in ('subclass', 'elsewhere'):
        inputs = [UNUSABLE[kind](x) for x in inputs]
    found, expected = LAYERS[name].function(*inputs), LAYERS[name].formula(*inputs)
    assert type(found) is type(expected)
    assert found.device == expected.device
    if not found.is_meta:
        torch.testing.assert_close(found, expected)
    assert not native_calls


def test_tensors_that_do_not_fit_are_refused(native_calls):
    """By torch: the C++ would read beyond their ends."""
    x = torch.randn(6, 9)
    with pytest.raises(RuntimeError):
        rms_norm(x, torch.ones(10), 1e-6)
    with pytest.raises(RuntimeError):
        rms_norm(x, torch.ones(9, device='meta'), 1e-6)
    with pytest.raises(RuntimeError):
        swiglu(x)
    with pytest.raises(RuntimeError):
        blend(x, x, torch.randn(6, 8))
    assert not native_calls


def test_traces_hold_operations_of_torch():
    """A file made of them runs without this library."""
    for name, layer in LAYERS.items():
        inputs = tuple(layer.inputs((6, 8), torch.float32))
        graph = torch.jit.trace(layer.function, inputs, check_trace=False).inlined_graph
        assert {'rms_norm': 'rms_norm', 'swiglu': 'silu', 'blend': 'lerp'}[name] in str(graph)


@pytest.mark.parametrize('name', LAYERS)
def test_there_is_no_second_derivative(name):
    leaves = [x.requires_grad_() for x in LAYERS[name].inputs((6, 8), torch.float32)]
    (grad, *_) = torch.autograd.grad(
        LAYERS[name].function(*leaves).square().sum(), leaves, create_graph=True
    )
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()


@pytest.fixture
def without_compiler(monkeypatch, tmp_path):
    """A machine on which nothing was built and nothing can be."""
    monkeypatch.setenv('MMVIG_CACHE', str(tmp_path))
    monkeypatch.setenv('CXX', 'no-such-compiler')
    build.load.cache_clear()
    native.library.cache_clear()
    yield
    build.load.cache_clear()
    native.library.cache_clear()


def test_without_a_compiler_torch_computes_in_silence(without_compiler, native_calls):
    """The operator has said why."""
    for layer in LAYERS.values():
        inputs, dy = layer.inputs((9, 40), torch.float32), torch.randn(9, 40)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            found = run(layer.function, inputs, dy)
        torch.testing.assert_close(found, run(layer.formula, inputs, dy))
    assert not native_calls


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='names x86 processors')
@pytest.mark.slow
@pytest.mark.parametrize('processor', ['haswell', 'x86-64'])
def test_older_processors(processor, tmp_path, monkeypatch):
    """Narrower registers than this machine may have, AVX2 and SSE: as exact."""
    flags = [flag for flag in build.FLAGS if not flag.startswith('-march')]
    path = tmp_path / 'older-tokens.so'
    command = ['c++', *flags, f'-march={processor}', native.SOURCE, '-o', path]
    subprocess.run(command, check=True)
    monkeypatch.setattr(native, 'load', lambda source: ctypes.CDLL(str(path)))
    older = native.library.__wrapped__()
    monkeypatch.setattr(native, 'library', lambda: older)
    for layer in LAYERS.values():
        for dtype in DTYPES:
            inputs, dy = layer.inputs((50, 33), dtype), torch.randn(50, 33)
            assert largest_share_of_budget(layer, inputs, dy) <= 1
