"""Every layer of a backbone is called as a module, so that watching or replacing it has its effect.

With large images, whose tokens are taken in chunks, and with small ones.
"""

import copy

import pytest
import torch
from torch import nn
from torch.ao.nn.quantized import dynamic as quantized
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils import parametrizations, parametrize

from mmvig.ops import tokenwise
from tests.support.backbone_cases import CASES

pytestmark = pytest.mark.parametrize('case', CASES.values(), ids=CASES)
NORMS = (nn.LayerNorm, nn.RMSNorm)


@pytest.fixture(params=['in chunks', 'in one call'])
def tokens(request, monkeypatch):
    """How the tokens of a test image are taken."""
    if request.param == 'in chunks':
        monkeypatch.setattr(tokenwise, 'CHUNK_TOKENS', 5)


def make(case) -> nn.Module:
    """A small model in double precision."""
    arch = case.cls.ARCHS['nano']
    if 'depth' in arch:  # of equal blocks
        arch = arch | dict(depth=4)
    return case.build(arch=arch).double().eval()


def run(model: nn.Module) -> torch.Tensor:
    image = torch.linspace(-2, 2, 3 * 40 * 24, dtype=torch.float64).sin().view(1, 3, 40, 24)
    with torch.no_grad():
        maps = model(image)
    return torch.cat([x.flatten() for x in maps])


def called(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that a forward pass reaches, by torch's own hooks."""
    seen = set()
    handles = [
        module.register_forward_hook(lambda module, *_: seen.add(module))
        for module in model.modules()
    ]
    run(model)
    for handle in handles:
        handle.remove()
    return {name: module for name, module in model.named_modules() if module in seen}


def layers(model: nn.Module, kinds) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


def differs(model: nn.Module, output: torch.Tensor) -> bool:
    return not torch.allclose(run(model), output, atol=1e-13, rtol=0)


def test_hooks_see_every_module(case, tokens):
    model = make(case)
    silent = set(dict(model.named_modules())) - set(called(model))
    containers = {
        name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)
    }
    assert silent == containers


def test_global_hooks_see_every_module(case, tokens):
    model = make(case)
    seen = set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.add(module))
    run(model)
    handle.remove()
    assert set(called(model).values()) <= seen


class Doubled(nn.Module):
    """In the place of a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return 2 * self.layer(x)


def test_replacing_a_norm_or_a_linear_layer_changes_the_output(case, tokens):
    """Also one norm after another: what follows may be blind to a factor."""
    model = make(case)
    output = run(model)
    names = layers(model, (*NORMS, nn.Linear))
    assert len(names) > 20
    for name in names:
        parent, _, attribute = name.rpartition('.')
        owner = model.get_submodule(parent)
        layer = getattr(owner, attribute)
        setattr(owner, attribute, Doubled(layer))
        assert differs(model, output), name
        setattr(owner, attribute, layer)
    torch.testing.assert_close(run(model), output)


def test_a_parametrization_has_its_effect(case, tokens):
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = make(case)
    output = run(model)
    for name in layers(model, (*NORMS, nn.Linear)):
        layer = model.get_submodule(name)
        parametrize.register_parametrization(layer, 'weight', Double())
        assert differs(model, output), name
        parametrize.remove_parametrizations(layer, 'weight', leave_parametrized=False)
    torch.testing.assert_close(run(model), output)


def test_weight_norm_computes_the_same_and_trains(case, tokens):
    model = make(case)
    output = run(model)
    for name in layers(model, nn.Linear):
        parametrizations.weight_norm(model.get_submodule(name))
    torch.testing.assert_close(run(model), output)
    image = torch.randn(1, 3, 70, 38, dtype=torch.float64)
    sum(x.square().sum() for x in model(image)).backward()
    for name in layers(model, nn.Linear):
        magnitude = model.get_submodule(name).parametrizations.weight.original0
        assert magnitude.grad is not None, name


class LowRank(nn.Module):
    """A LoRA adapter (arXiv 2106.09685) around a frozen layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, 2, bias=False).double()
        self.up = nn.Linear(2, layer.out_features, bias=False).double()

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


def test_adapters_change_the_output_and_get_gradients(case, tokens):
    model = make(case)
    output = run(model)
    for name in layers(model, nn.Linear):
        parent, _, attribute = name.rpartition('.')
        owner = model.get_submodule(parent)
        setattr(owner, attribute, LowRank(getattr(owner, attribute)))
    assert differs(model, output)
    image = torch.randn(1, 3, 70, 38, dtype=torch.float64)
    sum(x.square().sum() for x in model(image)).backward()
    for name in layers(model, LowRank):
        adapter = model.get_submodule(name)
        assert adapter.up.weight.grad.any(), name
        assert adapter.layer.weight.grad is None, name


def test_dynamic_quantization_takes_every_linear_layer(case, tokens):
    model = make(case).float()
    linear = layers(model, nn.Linear)
    small = quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    assert layers(small, quantized.Linear) == linear
    image = torch.randn(1, 3, 70, 38)
    with torch.no_grad():
        for x, y in zip(small(image), model(image), strict=True):
            error = float((x - y).norm() / y.norm())
            assert 1e-4 < error < 0.1
