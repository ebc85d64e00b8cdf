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
