"""Token-wise functions in chunks, against the same functions in one call."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmvig.models.backbones import LinGlo, MultiScaleViG, PlainViG, ViR
from mmvig.models.layers.block import Block
from mmvig.models.layers.mlp import MLP, GatedMLP
from mmvig.ops import linear as linear_module
from mmvig.ops import tokenwise as tokenwise_module
from mmvig.ops.linear import matmul
from mmvig.ops.tokenwise import tokenwise
from tests.support import golden


@pytest.fixture
def chunked_calls(monkeypatch):
    """Chunks of 7 tokens, and a list with an entry for each call that was cut into some."""
    monkeypatch.setattr(tokenwise_module, 'CHUNK_TOKENS', 7)
    calls, apply = [], tokenwise_module._Tokenwise.apply
    monkeypatch.setattr(
        tokenwise_module._Tokenwise, 'apply', lambda *args: calls.append(1) or apply(*args)
    )
    return calls


def in_one_call(monkeypatch) -> None:
    monkeypatch.setattr(tokenwise_module, 'CHUNK_TOKENS', 10**9)


def feed_forward(mlp: nn.Module, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return tokenwise(lambda x: mlp(norm(x)), x, modules=(norm, mlp))


def gradients(model, image) -> list[torch.Tensor]:
    image.requires_grad_()
    maps = model(image)
    maps = maps if isinstance(maps, tuple) else (maps,)
    loss = sum((x * torch.linspace(-1, 1, x.numel()).view_as(x)).sum() for x in maps)
    leaves = [image, *(p for p in model.parameters() if p.requires_grad)]
    return [*maps, *torch.autograd.grad(loss, leaves, allow_unused=True)]


@pytest.mark.parametrize('cls', [MultiScaleViG, PlainViG, ViR, LinGlo])
def test_backbones_compute_the_same(cls, chunked_calls, monkeypatch):
    model = cls('nano' if 'nano' in cls.ARCHS else 'tiny').double()
    image = torch.randn(2, 3, 70, 38, dtype=torch.float64)
    in_chunks = gradients(model, image)
    assert chunked_calls
    in_one_call(monkeypatch)
    for x, y in zip(in_chunks, gradients(model, image), strict=True):
        if x is not None:
            assert golden.relative(x, y) < 1e-13


@pytest.mark.parametrize('frozen', ['', 'fc1', 'fc2', 'norm', 'fc1 fc2 norm'])
@pytest.mark.parametrize('make', [MLP, GatedMLP])
def test_frozen_layers_get_no_gradient(make, frozen, chunked_calls):
    mlp, norm = make(4, 6).double(), nn.LayerNorm(4).double()
    modules = {'norm': norm, 'fc1': mlp.fc1, 'fc2': mlp.fc2}
    for name in frozen.split():
        modules[name].requires_grad_(False)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: feed_forward(mlp, norm, x), (x, *mlp.parameters())
    )
    feed_forward(mlp, norm, x).sum().backward()
    for name, module in modules.items():
        assert all((p.grad is None) == (name in frozen.split()) for p in module.parameters())
    assert chunked_calls


def test_only_the_weights_of_the_last_layer_need_a_gradient(chunked_calls, monkeypatch):
    mlp, norm = GatedMLP(4, 6).double(), nn.LayerNorm(4).double()
    for module in (mlp.fc1, norm):
        module.requires_grad_(False)
    x = torch.randn(30, 4, dtype=torch.float64)
    (in_chunks,) = torch.autograd.grad(feed_forward(mlp, norm, x).square().sum(), mlp.fc2.weight)
    in_one_call(monkeypatch)
    (expected,) = torch.autograd.grad(feed_forward(mlp, norm, x).square().sum(), mlp.fc2.weight)
    torch.testing.assert_close(in_chunks, expected)
    assert len(chunked_calls) == 1


def test_several_inputs_and_a_shared_layer(chunked_calls, monkeypatch):
    """A parameter that is read twice gets the sum of both gradients, once."""
    layer = nn.Linear(4, 6).double()
    x, y = (torch.randn(2, 9, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    leaves = [x, y, *layer.parameters()]

    def grads():
        out = tokenwise(lambda x, y: layer(x) * layer(y).exp(), x, y, modules=(layer, layer))
        return torch.autograd.grad(out.square().sum(), leaves)

    in_chunks = grads()
    in_one_call(monkeypatch)
    for grad, expected in zip(in_chunks, grads(), strict=True):
        torch.testing.assert_close(grad, expected, atol=1e-12, rtol=1e-12)
    assert len(chunked_calls) == 1


@pytest.mark.parametrize('autocast', [False, True])
def test_products_are_computed_once(autocast, chunked_calls, monkeypatch, poisoned):
    """By a first backward pass; the next one computes all again but the result, if it is one."""
    mlp, norm = GatedMLP(4, 6), nn.LayerNorm(4)
    x = torch.randn(5 * 7 * (1 + autocast), 4, requires_grad=True)
    products, counts = [], []
    monkeypatch.setattr(linear_module, 'matmul', lambda *args: products.append(1) or matmul(*args))
    for after in (nn.Identity(), nn.SiLU()):
        products.clear()
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            out = tokenwise(lambda x, f=after: f(mlp(norm(x))), x, modules=(norm, mlp, after))
        for _ in range(2):
            (grad,) = torch.autograd.grad(out.square().sum(), x, retain_graph=True)
            assert grad.isfinite().all()
            counts.append(len(products))
        (expected,) = torch.autograd.grad(after(mlp(norm(x))).square().sum(), x)
        assert golden.relative(grad, expected) < (2**-6 if autocast else 1e-6)
    chunks = 5
    once = 4 * chunks + 2  # of two layers: output, gradient; one token to see which is the result
    again = once + 2 * chunks  # gradients
    assert counts == [once, again + chunks, once, again + 2 * chunks]
    assert chunked_calls


def test_only_products_are_kept_and_freed_as_they_are_read(chunked_calls):
    mlp, norm = GatedMLP(4, 6), nn.LayerNorm(4)
    out = feed_forward(mlp, norm, torch.randn(5 * 7, 4))
    kept = out.grad_fn.products
    assert [tuple(x.shape) for x in kept] == 5 * [(7, 12)]
    out.sum().backward()
    assert not kept
    assert chunked_calls


@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_inference_keeps_nothing(mode, chunked_calls, monkeypatch):
    mlp, norm, x = GatedMLP(4, 6), nn.LayerNorm(4), torch.randn(5 * 7, 4)
    contexts, forward = [], tokenwise_module._Tokenwise.forward
    monkeypatch.setattr(
        tokenwise_module._Tokenwise,
        'forward',
        lambda ctx, *args: contexts.append(ctx) or forward(ctx, *args),
    )
    with mode():
        found = feed_forward(mlp, norm, x.clone())
    torch.testing.assert_close(found, mlp(norm(x)))
    (ctx,) = contexts
    assert ctx.products is None
    assert chunked_calls


def test_an_unused_parameter_gets_no_gradient(chunked_calls):
    used, unused, x = nn.Linear(4, 4), nn.Linear(4, 4), torch.randn(30, 4)
    tokenwise(used, x, modules=(used, unused)).sum().backward()
    assert used.weight.grad is not None
    assert unused.weight.grad is None or not unused.weight.grad.any()
    assert chunked_calls


def test_hooks_and_tracers_see_all_tokens_at_once(chunked_calls):
    mlp, norm, x = GatedMLP(4, 6), nn.LayerNorm(4), torch.randn(2, 30, 4)
    shapes = []
    for register in (
        mlp.fc1.register_forward_hook,
        norm.register_forward_hook,
        nn.modules.module.register_module_forward_hook,
    ):
        handle = register(lambda module, args, out: shapes.append(out.shape))
        feed_forward(mlp, norm, x)
        handle.remove()
    assert shapes == [(2, 30, 12), (2, 30, 4), (2, 30, 4), (2, 30, 12), (2, 30, 4), (2, 30, 4)]
    block = Block(4, nn.Linear(4, 4), mlp)
    graph = torch.jit.trace(block, x, check_trace=False).inlined_graph
    assert 'aten::linear' in str(graph)
    assert not chunked_calls


def test_autocast(chunked_calls, monkeypatch):
    """The numbers of one call in bfloat16 up to the order of sums, outside of autocast as well."""
    mlp, norm = GatedMLP(8, 12), nn.LayerNorm(8)
    x = torch.randn(3, 14, 8, requires_grad=True)
    leaves = [x, *mlp.parameters(), *norm.parameters()]

    def run() -> list[torch.Tensor]:
        with torch.autocast('cpu', torch.bfloat16):
            out = feed_forward(mlp, norm, x)
            again = mlp.fc1(x)  # its cast weight has a gradient, although chunks cast it before
        assert out.dtype == torch.bfloat16
        loss = out.float().square().sum() + again.float().sum()
        return [out, *torch.autograd.grad(loss, leaves)]

    in_chunks = run()
    in_one_call(monkeypatch)
    for found, expected in zip(in_chunks, run(), strict=True):
        assert found.dtype == expected.dtype
        assert golden.relative(found, expected) < 2**-7  # two roundings of bfloat16; 2⁻⁸ measured
    assert len(chunked_calls) == 1


class CentreOverTokens(nn.Module):
    """Reads all tokens: wrong in chunks."""

    def forward(self, x):
        return x - x.mean(dim=(0, 1), keepdim=True)


def test_a_module_that_mixes_tokens_is_not_cut(chunked_calls):
    mlp, x = GatedMLP(4, 6), torch.randn(2, 30, 4)
    norm = CentreOverTokens()
    torch.testing.assert_close(feed_forward(mlp, norm, x), mlp(norm(x)))
    assert not chunked_calls


def test_a_subclass_must_say_so_itself(chunked_calls):
    """It inherits the code of a token-wise class, and may add what is not."""

    class Mixing(GatedMLP):
        def forward(self, x):
            return super().forward(x) - x.mean(dim=(0, 1))

    feed_forward(Mixing(4, 6), nn.LayerNorm(4), torch.randn(2, 30, 4))
    assert not chunked_calls


def test_the_hidden_layer_is_never_whole(monkeypatch):
    """No allocation is larger than the output, where the hidden layer is 12 times as wide."""
    monkeypatch.setattr(tokenwise_module, 'CHUNK_TOKENS', 64)
    mlp, norm = GatedMLP(8, 48), nn.LayerNorm(8)
    x = torch.randn(64 * 40, 8)

    def largest_allocation(function) -> int:
        with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profiler:
            function()
        events = profiler.profiler.kineto_results.events()
        return max(event.nbytes() for event in events if event.name() == '[memory]')

    assert largest_allocation(lambda: feed_forward(mlp, norm, x)) <= x.nbytes
    assert largest_allocation(lambda: mlp(norm(x))) >= F.linear(x, mlp.fc1.weight).nbytes
