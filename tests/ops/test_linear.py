"""Products by oneDNN, against the same products in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmvig.ops import linear as products
from mmvig.ops.linear import linear, product, weight_gradient


@pytest.fixture
def by_onednn(monkeypatch):
    """Counts the products that oneDNN makes."""
    calls = []
    original = products._by_onednn
    monkeypatch.setattr(products, '_by_onednn', lambda *args: calls.append(1) or original(*args))
    return calls


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).abs().max() / exact.abs().max())


SIZES = [(128, 64, 64), (1000, 96, 208), (300, 256, 96), (2048, 16, 4096), (129, 1024, 65)]


@pytest.mark.parametrize('size', SIZES)
def test_products_are_as_exact_as_torchs(size, by_onednn):
    T, C, N = size
    x, weight, bias, dy = (torch.randn(*shape) for shape in ((T, C), (N, C), (N,), (T, N)))
    exact = x.double(), weight.double(), bias.double(), dy.double()
    for found, torchs, truth in (
        (product(x, weight, bias), F.linear(x, weight, bias), F.linear(*exact[:3])),
        (product(dy, weight.t()), dy @ weight, exact[3] @ exact[1]),
        (weight_gradient(dy, x), dy.t() @ x, exact[3].t() @ exact[0]),
    ):
        assert found.shape == truth.shape
        # Measured: 2e-7 to 7e-7, and at most 2.2 times torch's product, which sums in blocks.
        assert error(found, truth) < max(3 * error(torchs, truth), 3e-7)
    assert len(by_onednn) == 3


@pytest.mark.parametrize('with_bias', [True, False])
def test_strided_inputs(with_bias, by_onednn):
    layer = nn.Linear(96, 128, bias=with_bias)
    channels_first = torch.randn(2, 96, 20, 30)
    for x in (
        channels_first.permute(0, 2, 3, 1),
        torch.randn(2, 30, 20, 96).transpose(1, 2),
        torch.randn(1, 1, 1, 96).expand(2, 20, 30, 96),
        torch.randn(2, 20, 60, 200)[:, :, ::2, 3:99],
    ):
        torch.testing.assert_close(linear(layer, x), layer(x), atol=1e-5, rtol=0)
    assert len(by_onednn) == 4


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('frozen', ['', 'x', 'weight', 'bias', 'x bias', 'weight bias'])
def test_gradients(frozen, dtype, by_onednn):
    layer = nn.Linear(96, 64).to(dtype)
    x = torch.randn(2, 8, 16, 96, dtype=dtype)
    wanted = {'x': x, 'weight': layer.weight, 'bias': layer.bias}
    for name, tensor in wanted.items():
        tensor.requires_grad_(name not in frozen.split())
    dy = torch.randn(2, 8, 16, 64, dtype=dtype)
    leaves = [tensor for tensor in wanted.values() if tensor.requires_grad]
    found = torch.autograd.grad(linear(layer, x), leaves, dy)
    for grad, expected in zip(found, torch.autograd.grad(layer(x), leaves, dy), strict=True):
        torch.testing.assert_close(grad, expected, atol=1e-4, rtol=1e-5)
    assert bool(by_onednn) == (dtype == torch.float32)


def test_outputs_can_be_changed_in_place():
    """Blocks add their residual to what a layer returns."""
    layer, x = nn.Linear(96, 96), torch.randn(200, 96, requires_grad=True)
    y = linear(layer, x)
    assert not y._is_view()
    y.add_(x).sum().backward()
    torch.testing.assert_close(x.grad, (layer.weight.sum(0) + 1).expand_as(x))


def test_where_the_layer_itself_is_called(by_onednn):
    """Few tokens, other processors' memory, autocast, and no oneDNN."""
    layer, x = nn.Linear(96, 96), torch.randn(200, 96)
    linear(layer, x[:100])
    with torch.autocast('cpu', torch.bfloat16):
        assert linear(layer, x).dtype == torch.bfloat16
    assert linear(layer.to('meta'), x.to('meta')).is_meta
    layer = nn.Linear(96, 96)
    with torch.backends.mkldnn.flags(enabled=False):
        linear(layer, x)
    assert not by_onednn


@pytest.mark.parametrize('kind', ['forward', 'forward_pre', 'full_backward', 'full_backward_pre'])
def test_hooks_are_called(kind, by_onednn):
    layer, x = nn.Linear(96, 96), torch.randn(200, 96, requires_grad=True)
    seen = []
    getattr(layer, f'register_{kind}_hook')(lambda *args: seen.append(1))
    linear(layer, x).sum().backward()
    assert seen
    assert not by_onednn


def test_counters_count_them():
    layer, x = nn.Linear(96, 64), torch.randn(200, 96, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        linear(layer, x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 200 * 96 * 64
