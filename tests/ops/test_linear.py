"""The linear layer against torch's, and its products against the same products in float64."""

import copy
from collections import deque

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmvig.ops import linear as linear_module
from mmvig.ops.linear import (
    Linear,
    matmul,
    repeated_products,
    weight_gradient,
    weight_of_result,
)


def pretend(monkeypatch, family: int, avx512: bool = True) -> None:
    """Another processor, of a family of AMD or, with 0, of another vendor."""
    monkeypatch.setattr(linear_module, 'amd_family', lambda: family)
    monkeypatch.setattr(linear_module, 'uses_avx512', lambda: avx512)


@pytest.fixture
def onednn_calls(monkeypatch):
    """A list with an entry for each product by oneDNN, on a processor where it gains most."""
    pretend(monkeypatch, linear_module.ZEN_5)
    monkeypatch.setattr(linear_module, 'MIN_WORK', 128 * 64 * 64)
    calls = []
    original = linear_module._matmul_onednn
    monkeypatch.setattr(
        linear_module, '_matmul_onednn', lambda *args: calls.append(1) or original(*args)
    )
    return calls


def error(computed: torch.Tensor, exact: torch.Tensor) -> float:
    return float((computed - exact).abs().max() / exact.abs().max())


SIZES = [(128, 64, 64), (1000, 96, 208), (300, 256, 96), (2048, 16, 4096), (129, 1024, 65)]


@pytest.mark.parametrize('size', SIZES)
def test_products_are_as_exact_as_torchs(size, onednn_calls):
    T, C, N = size
    x, weight, bias, dy = (torch.randn(*shape) for shape in ((T, C), (N, C), (N,), (T, N)))
    exact = x.double(), weight.double(), bias.double(), dy.double()
    for computed, torchs, truth in (
        (matmul(x, weight, bias), F.linear(x, weight, bias), F.linear(*exact[:3])),
        (matmul(dy, weight.t()), dy @ weight, exact[3] @ exact[1]),
        (weight_gradient(dy, x), dy.t() @ x, exact[3].t() @ exact[0]),
    ):
        assert computed.shape == truth.shape
        # Measured: 2e-7 to 7e-7, and at most 2.2 times torch's product, which sums in blocks.
        assert error(computed, truth) < max(3 * error(torchs, truth), 3e-7)
    assert len(onednn_calls) == 3


def pair(*args, dtype=torch.float32, **kwargs) -> tuple[Linear, nn.Linear]:
    """Our layer, and torch's with the same weights."""
    ours, torchs = Linear(*args, **kwargs).to(dtype), nn.Linear(*args, **kwargs).to(dtype)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.mark.parametrize('bias', [True, False])
def test_strided_inputs(bias, onednn_calls):
    ours, torchs = pair(96, 128, bias=bias)
    channels_first = torch.randn(2, 96, 20, 30)
    for x in (
        channels_first.permute(0, 2, 3, 1),
        torch.randn(2, 30, 20, 96).transpose(1, 2),
        torch.randn(1, 1, 1, 96).expand(2, 20, 30, 96),
        torch.randn(2, 20, 60, 200)[:, :, ::2, 3:99],
    ):
        torch.testing.assert_close(ours(x), torchs(x), atol=1e-5, rtol=0)
    assert len(onednn_calls) == 4


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('frozen', ['', 'x', 'weight', 'bias', 'x bias', 'weight bias'])
def test_gradients(frozen, dtype, onednn_calls):
    x = torch.randn(2, 8, 16, 96, dtype=dtype).requires_grad_('x' not in frozen.split())
    dy = torch.randn(2, 8, 16, 64, dtype=dtype)
    grads = []
    for layer in pair(96, 64, dtype=dtype):
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(name not in frozen.split())
        leaves = [tensor for tensor in (x, *layer.parameters()) if tensor.requires_grad]
        grads.append(torch.autograd.grad(layer(x), leaves, dy))
    for grad, expected in zip(*grads, strict=True):
        torch.testing.assert_close(grad, expected, atol=1e-4, rtol=1e-5)
    assert bool(onednn_calls) == (dtype == torch.float32)


def test_outputs_can_be_changed_in_place():
    """An in-place add to a view would cost three copies in autograd (its node CopySlices)."""
    layer, x = Linear(96, 96), torch.randn(200, 96, requires_grad=True)
    y = layer(x)
    assert not y._is_view()
    y.add_(x).sum().backward()
    torch.testing.assert_close(x.grad, (layer.weight.sum(0) + 1).expand_as(x))


def test_where_torch_computes(onednn_calls):
    """Little work, autocast, tracing, memory of another processor, and no oneDNN."""
    layer, x = Linear(96, 96), torch.randn(200, 96)
    layer(x[:50])
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert 'aten::linear' in str(torch.jit.trace(layer, x, check_trace=False).inlined_graph)
    assert 'aten.linear' in str(torch.export.export(layer, (x,)).graph)
    with torch.backends.mkldnn.flags(enabled=False):
        layer(x)
    assert layer.to('meta')(x.to('meta')).is_meta
    assert not onednn_calls


@pytest.mark.parametrize(
    ('family', 'avx512', 'products'),
    [(26, True, 3), (25, True, 2), (25, False, 0), (23, False, 0), (0, True, 0)],
    ids=['Zen 5', 'Zen 4', 'Zen 4 kept to AVX2', 'Zen 2', 'not AMD'],
)
def test_the_processor_decides(family, avx512, products, onednn_calls, monkeypatch):
    """On Zen 4 oneDNN gains at x Wᵀ but not at gradients of weights, elsewhere torch decides."""
    pretend(monkeypatch, family, avx512)
    layer, x = Linear(96, 96), torch.randn(200, 96, requires_grad=True)
    layer(x).sum().backward()
    assert len(onednn_calls) == products


def test_wide_gradients_are_onednns_on_zen_4(onednn_calls, monkeypatch):
    pretend(monkeypatch, linear_module.ZEN_4)
    for size in ((linear_module.WIDE, 16), (16, linear_module.WIDE), (linear_module.WIDE - 1, 64)):
        weight_gradient(torch.randn(100, size[0]), torch.randn(100, size[1]))
    assert len(onednn_calls) == 2


def test_a_weight_is_laid_out_for_many_tokens(onednn_calls, monkeypatch):
    monkeypatch.setattr(linear_module, 'MANY_TOKENS', 200)
    weight = torch.randn(64, 96)
    laid_out = linear_module._laid_out(weight, 200)
    assert laid_out.stride() == (1, 64)
    assert torch.equal(laid_out, weight)
    assert linear_module._laid_out(weight, 199) is weight
    transposed = torch.randn(96, 64).t()
    assert linear_module._laid_out(transposed, 200) is transposed


def test_a_weight_is_laid_out_once_for_repeated_products():
    weight, other = torch.randn(64, 96), torch.randn(64, 96)
    with repeated_products():
        copies = [linear_module._laid_out(w, 1) for w in (weight, other, weight, other)]
    assert copies[0] is copies[2]
    assert copies[1] is copies[3]
    for copy_, w in zip(copies, (weight, other), strict=False):
        assert torch.equal(copy_, w)
    assert linear_module._laid_out(weight, 1) is weight


def test_the_weight_of_a_result():
    first, last, x = Linear(8, 8), Linear(8, 8), torch.randn(3, 8)
    assert weight_of_result(lambda: last(first(x).sin())) is last.weight
    assert weight_of_result(lambda: last(first(x)).sin()) is None
    assert weight_of_result(lambda: last(last(x))) is None, 'the first is read'
    assert weight_of_result(lambda: nn.Linear(8, 8)(first(x))) is None
    with torch.no_grad():
        assert weight_of_result(lambda: last(x)) is None


def test_an_unread_product_is_left_out_and_has_its_gradient(onednn_calls, poisoned):
    first, last = Linear(96, 96), Linear(96, 128)
    x, dy = torch.randn(200, 96, requires_grad=True), torch.randn(200, 128)
    leaves = [x, *first.parameters(), *last.parameters()]
    expected = torch.autograd.grad(last(first(x)), leaves, dy)
    onednn_calls.clear()
    with repeated_products(last.weight, is_result_read=False):
        y = last(first(x))
    assert y.isnan().all()
    assert len(onednn_calls) == 1
    torch.testing.assert_close(torch.autograd.grad(y, leaves, dy), expected)
    assert not last(first(x)).isnan().any()


def test_known_products_are_not_computed_again(onednn_calls):
    first, last, x = Linear(96, 96), Linear(96, 128), torch.randn(200, 96)
    kept = deque()
    with repeated_products(last.weight, kept=kept):
        expected = last(first(x))
    assert [tuple(y.shape) for y in kept] == [(200, 96)]
    onednn_calls.clear()
    with repeated_products(known=kept):
        found = last(first(x))
        last(first(x))  # of which nothing is known
    assert len(onednn_calls) == 1 + 2
    assert torch.equal(found, expected)
    assert not kept


def test_small_products_are_torchs(onednn_calls):
    layer = Linear(64, 64)
    layer(torch.randn(127, 64))
    assert not onednn_calls
    layer(torch.randn(128, 64))
    assert len(onednn_calls) == 1


@pytest.mark.parametrize('kind', ['forward', 'forward_pre', 'full_backward', 'full_backward_pre'])
@pytest.mark.parametrize('place', ['layer', 'all layers'])
def test_hooks_are_called(kind, place, onednn_calls):
    layer, x = Linear(96, 96), torch.randn(200, 96, requires_grad=True)
    seen = []
    if place == 'layer':
        register = getattr(layer, f'register_{kind}_hook')
    else:
        register = getattr(nn.modules.module, f'register_module_{kind}_hook')
    handle = register(lambda *args: seen.append(1))
    layer(x).sum().backward()
    handle.remove()
    assert seen
    assert onednn_calls, 'hooks do not make a layer slower'


def test_counters_count_them():
    layer, x = Linear(96, 64), torch.randn(200, 96, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 200 * 96 * 64


def test_it_counts_as_torchs_layer():
    """Tools look layers up by isinstance, or by their exact type in tables and lists."""
    layer = Linear(4, 4)
    assert isinstance(layer, nn.Linear)
    assert {nn.Linear: 'found'}.get(type(layer)) == 'found'
    assert type(layer) in [nn.Linear]
    assert Linear in {nn.Linear}
    assert type(layer) is Linear
    for other in (nn.Identity, nn.LazyLinear, type('Other', (Linear,), {})):
        assert other not in {nn.Linear, Linear}


def test_copies_and_files_keep_the_class(tmp_path):
    layer = Linear(4, 4)
    torch.save(layer, tmp_path / 'layer.pth')
    read = torch.load(tmp_path / 'layer.pth', weights_only=False)
    for other in (copy.deepcopy(layer), read):
        assert type(other) is Linear
        assert torch.equal(other.weight, layer.weight)
    assert list(layer.state_dict()) == ['weight', 'bias']
