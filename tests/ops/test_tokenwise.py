"""Token-wise layers taken in tokenwise, against the same layers as a whole."""

import pytest
import torch
from torch import nn

from mmvig.models.backbones import LinGlo, MultiScaleViG, PlainViG, ViR
from mmvig.models.layers.block import MLP, Block, GatedMLP
from mmvig.ops import tokenwise
from tests.support import golden


@pytest.fixture
def in_slabs(monkeypatch):
    """Slabs of 7 tokens, and a count of the chains that took them."""
    monkeypatch.setattr(tokenwise, 'SLAB', 7)
    calls = []
    for name in ('_Chain', '_Project'):
        apply = getattr(tokenwise, name).apply
        monkeypatch.setattr(
            getattr(tokenwise, name), 'apply', lambda *args, f=apply: calls.append(1) or f(*args)
        )
    return calls


def gradients(model, image) -> list[torch.Tensor]:
    image.requires_grad_()
    maps = model(image)
    maps = maps if isinstance(maps, tuple) else (maps,)
    loss = sum((x * torch.linspace(-1, 1, x.numel()).view_as(x)).sum() for x in maps)
    wanted = [image, *(p for p in model.parameters() if p.requires_grad)]
    return [*maps, *torch.autograd.grad(loss, wanted, allow_unused=True)]


@pytest.mark.parametrize('cls', [MultiScaleViG, PlainViG, ViR, LinGlo])
def test_backbones_compute_the_same(cls, in_slabs, monkeypatch):
    model = cls('nano' if 'nano' in cls.ARCHS else 'tiny').double()
    image = torch.randn(2, 3, 70, 38, dtype=torch.float64)
    found = gradients(model, image)
    assert in_slabs
    monkeypatch.setattr(tokenwise, 'SLAB', 10**9)
    for x, y in zip(found, gradients(model, image), strict=True):
        if x is not None:
            assert golden.relative(x, y) < 1e-13


@pytest.mark.parametrize('frozen', ['', 'fc1', 'fc2', 'norm', 'fc1 fc2 norm'])
@pytest.mark.parametrize('make', [MLP, GatedMLP])
def test_frozen_layers_get_no_gradient(make, frozen, in_slabs):
    mlp, norm = make(4, 6).double(), nn.LayerNorm(4).double()
    modules = {'norm': norm, 'fc1': mlp.fc1, 'fc2': mlp.fc2}
    for name in frozen.split():
        modules[name].requires_grad_(False)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: mlp(x, norm), (x, *mlp.parameters()))
    mlp(x, norm).sum().backward()
    for name, module in modules.items():
        assert all((p.grad is None) == (name in frozen.split()) for p in module.parameters())
    assert in_slabs


@pytest.mark.parametrize('slab', [7, 10**9])
@pytest.mark.parametrize('cls', [MultiScaleViG, PlainViG, ViR, LinGlo])
def test_residuals_are_not_added_to_views(cls, slab, monkeypatch):
    """To a view autograd adds by copies of the whole tensor (its node CopySlices)."""
    monkeypatch.setattr(tokenwise, 'SLAB', slab)
    model = cls('nano' if 'nano' in cls.ARCHS else 'tiny')
    ends = model(torch.randn(1, 3, 70, 38))
    ends = ends if isinstance(ends, tuple) else (ends,)
    nodes, seen = [x.grad_fn for x in ends], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
    names = {node.name() for node in seen}
    assert any('AddBackward' in name for name in names)
    assert not any('CopySlices' in name for name in names)


def test_only_the_weights_of_the_last_layer_are_wanted(in_slabs, monkeypatch):
    mlp, norm = GatedMLP(4, 6).double(), nn.LayerNorm(4).double()
    for module in (mlp.fc1, norm):
        module.requires_grad_(False)
    x = torch.randn(30, 4, dtype=torch.float64)
    (found,) = torch.autograd.grad(mlp(x, norm).square().sum(), mlp.fc2.weight)
    monkeypatch.setattr(tokenwise, 'SLAB', 10**9)
    (expected,) = torch.autograd.grad(mlp(x, norm).square().sum(), mlp.fc2.weight)
    torch.testing.assert_close(found, expected)
    assert len(in_slabs) == 1


def test_hooks_and_tracers_see_whole_layers(in_slabs):
    """What looks at a layer, or takes its place, gets every token at once."""
    mlp, norm, x = GatedMLP(4, 6), nn.LayerNorm(4), torch.randn(2, 30, 4)
    seen = []
    handle = mlp.fc1.register_forward_hook(lambda module, given, out: seen.append(out.shape))
    mlp(x, norm)
    handle.remove()
    assert seen == [(2, 30, 12)]
    with torch.autocast('cpu', torch.bfloat16):
        assert mlp(x, norm).dtype == torch.bfloat16
    block = Block(4, nn.Linear(4, 4), mlp)
    graph = torch.jit.trace(block, x, check_trace=False).inlined_graph
    assert 'aten::linear' in str(graph)
    assert not in_slabs


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def test_projections_call_what_is_no_plain_layer(in_slabs):
    """A hook sees its layer called, and an adapter in its place takes part."""
    plain, other, x = nn.Linear(4, 6, bias=False), Doubled(4, 2, bias=False), torch.randn(2, 30, 4)
    parts = tokenwise.project(x, plain, other, widths=(3, 3, 2))
    torch.testing.assert_close(parts[2], 2 * x @ other.weight.t())
    seen = []
    plain.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    tokenwise.project(x, plain, widths=(6,))
    assert seen == [x.shape]
    assert not in_slabs


def test_memory_of_the_hidden_layer_is_not_needed(monkeypatch):
    """A chain allocates its output and tokenwise, where the whole hidden layer is 12 times as wide."""
    monkeypatch.setattr(tokenwise, 'SLAB', 64)
    mlp, norm = GatedMLP(8, 48), nn.LayerNorm(8)
    x = torch.randn(64 * 40, 8)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profiler:
        mlp(x, norm)
    largest = max(e.self_cpu_memory_usage / max(e.count, 1) for e in profiler.key_averages())
    assert largest <= x.nbytes
