"""The convolution of channels-last maps, plain and as the operator that compiled models call."""

import pytest
import torch
from torch import nn

from mmvig.ops import conv as conv_module
from mmvig.ops.conv import conv2d

LAYERS = {
    'step': dict(kernel_size=3, stride=2, padding=1),
    'depthwise': dict(kernel_size=3, padding=1, groups=4, bias=False),
    'pointwise': dict(kernel_size=1),
    'patches': dict(kernel_size=(5, 3), stride=(4, 2)),
}
SIZES = [(2, 1, 1), (1, 1, 9), (1, 9, 1), (2, 12, 15), (1, 90, 80)]


def make(name: str, dtype=torch.float64) -> nn.Conv2d:
    channels = 4 if name == 'depthwise' else 8
    return nn.Conv2d(4, channels, **LAYERS[name]).to(dtype)


def call_operator(layer: nn.Conv2d, x_BYXC: torch.Tensor) -> torch.Tensor:
    options = list(layer.stride), list(layer.padding), layer.groups
    return conv_module._conv2d(x_BYXC, layer.weight, layer.bias, *options)


def map_of(size, dtype=torch.float64) -> torch.Tensor:
    B, Y, X = size
    return torch.randn(B, Y, X, 4, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize(
    ('name', 'size'),
    [(n, size) for n in LAYERS for size in SIZES if n != 'patches' or min(size[1:]) > 1],
)
def test_it_is_the_layer(name, size):
    """Plain and as the operator: outputs and all gradients."""
    layer, x_BYXC = make(name), map_of(size)
    expected = layer(x_BYXC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    leaves = [x_BYXC, *layer.parameters()]
    dy = torch.randn(expected.shape, dtype=torch.float64)
    gradients = torch.autograd.grad(expected, leaves, dy)
    for function in (conv2d, call_operator):
        found = function(layer, x_BYXC)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(
            torch.autograd.grad(found, leaves, dy), gradients, atol=1e-11, rtol=0
        )
    assert call_operator(layer, x_BYXC).is_contiguous()


@pytest.mark.parametrize('name', LAYERS)
def test_operator_contract(name):
    """Schema, shapes for tracing and autograd registration as torch checks them."""
    layer, x_BYXC = make(name, torch.float32), map_of((2, 12, 15), torch.float32)
    options = list(layer.stride), list(layer.padding), layer.groups
    torch.library.opcheck(conv_module._conv2d, (x_BYXC, layer.weight, layer.bias, *options))


PATCHES = {
    'step': dict(kernel_size=3, stride=2, padding=1),
    'no step': dict(kernel_size=3, padding=1, bias=False),
    'not square': dict(kernel_size=(5, 3), stride=(4, 2), padding=(2, 0)),
}


def make_wide(name: str, dtype=torch.float64) -> nn.Conv2d:
    return nn.Conv2d(conv_module.MIN_CHANNELS, 6, **PATCHES[name]).to(dtype)


def wide_map_of(size, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*size, conv_module.MIN_CHANNELS, dtype=dtype, requires_grad=True)


@pytest.fixture
def patch_calls(monkeypatch):
    """A list with an entry for each convolution whose weight has its gradient by patches."""
    calls, apply = [], conv_module._ByPatches.apply
    monkeypatch.setattr(
        conv_module._ByPatches, 'apply', lambda *args: calls.append(1) or apply(*args)
    )
    return calls


@pytest.mark.parametrize('chunk', [1, 12, 1000], ids=['a row', 'rows or images', 'all'])
@pytest.mark.parametrize('size', [(1, 9, 12), (5, 4, 5), (2, 12, 3), (3, 1, 4)])
@pytest.mark.parametrize('name', PATCHES)
def test_gradients_by_patches(name, size, chunk, patch_calls, monkeypatch):
    monkeypatch.setattr(conv_module, 'CHUNK_PATCHES', chunk)
    layer, x_BYXC = make_wide(name), wide_map_of(size)
    expected = layer(x_BYXC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    found = conv2d(layer, x_BYXC)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    leaves, dy = [x_BYXC, *layer.parameters()], torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, leaves, dy), torch.autograd.grad(expected, leaves, dy)
    )
    assert patch_calls


@pytest.mark.parametrize('frozen', ['x', 'weight', 'bias'])
def test_frozen_inputs_get_no_gradient_by_patches(frozen, patch_calls):
    layer, x_BYXC = make_wide('step'), wide_map_of((2, 5, 6))
    inputs = {'x': x_BYXC, 'weight': layer.weight, 'bias': layer.bias}
    inputs[frozen].requires_grad_(False)
    conv2d(layer, x_BYXC).sum().backward()
    assert [x.grad is None for x in inputs.values()] == [name == frozen for name in inputs]
    assert patch_calls


def test_gradients_by_patches_are_as_exact_as_torchs(patch_calls):
    layer, x_BYXC = make_wide('step', torch.float32), wide_map_of((2, 60, 70), torch.float32)
    dy = torch.randn(2, 30, 35, 6)
    (found,) = torch.autograd.grad(conv2d(layer, x_BYXC), layer.weight, dy)
    torchs, true = (
        torch.nn.grad.conv2d_weight(x, layer.weight.shape, d, stride=2, padding=1)
        for x, d in (
            (x_BYXC.detach().permute(0, 3, 1, 2), dy.permute(0, 3, 1, 2)),
            (x_BYXC.detach().double().permute(0, 3, 1, 2), dy.double().permute(0, 3, 1, 2)),
        )
    )
    # Measured: 0.15 to 0.25 times torch's error.
    assert (found - true).abs().max() <= (torchs - true).abs().max()
    assert patch_calls


def test_where_torch_takes_the_gradient(patch_calls):
    """Few channels, groups, dilation, other padding; no gradients, autocast, somebody watching."""
    x_BYXC = wide_map_of((2, 5, 6), torch.float32)
    C = conv_module.MIN_CHANNELS
    conv2d(make('step', torch.float32), map_of((2, 5, 6), torch.float32))
    for options in (
        dict(groups=2), dict(dilation=2), dict(padding=1, padding_mode='reflect'),
        dict(padding='same'),
    ):  # fmt: skip
        conv2d(nn.Conv2d(C, 6, 3, **options), x_BYXC).sum().backward()
    layer = make_wide('step', torch.float32)
    with torch.no_grad():
        conv2d(layer, x_BYXC)
    with torch.autocast('cpu', torch.bfloat16):
        conv2d(layer, x_BYXC)
    layer.register_forward_hook(lambda *args: None)
    conv2d(layer, x_BYXC)
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    conv2d(make_wide('step', torch.float32), x_BYXC)
    handle.remove()
    assert not patch_calls


@pytest.mark.parametrize('frozen', ['x', 'weight', 'bias'])
def test_frozen_inputs_get_no_gradient(frozen):
    layer, x_BYXC = make('step'), map_of((2, 12, 15))
    inputs = {'x': x_BYXC, 'weight': layer.weight, 'bias': layer.bias}
    inputs[frozen].requires_grad_(False)
    call_operator(layer, x_BYXC).sum().backward()
    assert [x.grad is None for x in inputs.values()] == [name == frozen for name in inputs]


def operators(function, *args) -> set[str]:
    """Names of the convolutions in a compiled graph."""
    names = set()

    def backend(graph, inputs):
        names.update(str(node.target) for node in graph.graph.nodes if 'conv' in str(node.target))
        return graph

    torch.compiler.reset()
    torch.compile(function, backend=backend, fullgraph=True)(*args)
    return {name for name in names if 'parameters' not in name}


def test_where_the_operator_is_called():
    """Compiled for a CPU in the dtypes given; not exported, watched or under autocast."""
    layer, x_BYXC = make('step', torch.float32), map_of((2, 12, 15), torch.float32)
    ours = {'mmvig.conv2d.default'}
    assert operators(lambda x: conv2d(layer, x), x_BYXC) == ours
    with torch.autocast('cpu', torch.bfloat16):
        assert operators(lambda x: conv2d(layer, x), x_BYXC) != ours
    layer.register_forward_hook(lambda *args: None)
    assert operators(lambda x: conv2d(layer, x), x_BYXC) != ours


class OneConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = make('step', torch.float32)

    def forward(self, x_BYXC):
        return conv2d(self.conv, x_BYXC)


STRICT = pytest.param(
    True,
    marks=pytest.mark.skipif(
        not hasattr(torch.compiler, 'is_exporting'), reason='this torch tells no export by dynamo'
    ),
)


@pytest.mark.parametrize('strict', [STRICT, False])
def test_exports_hold_the_convolution_of_torch(strict):
    x_BYXC = map_of((2, 12, 15), torch.float32).detach()
    graph = torch.export.export(OneConv(), (x_BYXC,), strict=strict).graph
    assert 'aten.conv2d' in str(graph)
    assert 'mmvig' not in str(graph)
