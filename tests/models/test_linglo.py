"""LinGlo: the module's equations, and the properties that the paper's abstract names."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmvig.models.backbones import LinGlo
from mmvig.models.layers.key_only_attention import DepthwiseSeparableConv2d, KeyOnlyAttention2d
from tests.support.backbone_cases import CASES


def equations(layer: KeyOnlyAttention2d, x_BYXC: torch.Tensor) -> torch.Tensor:
    """Those of the module's docstring, position by position."""
    key, value = layer.key(x_BYXC), layer.value(x_BYXC)
    gate = layer.saliency(key).sigmoid().repeat_interleave(value.shape[-1] // layer.heads, -1)
    out = torch.empty_like(value)
    reach = layer.window // 2
    for y in range(x_BYXC.shape[1]):
        for x in range(x_BYXC.shape[2]):
            rows, columns = (
                slice(max(0, y - reach), y + reach + 1),
                slice(max(0, x - reach), x + reach + 1),
            )
            a, v = gate[:, rows, columns], value[:, rows, columns]
            near = (a * v).sum((1, 2)) / a.sum((1, 2))
            far = (gate * value).sum((1, 2)) / gate.sum((1, 2))
            out[:, y, x] = near + key[:, y, x].sigmoid() * far
    return layer.proj(out)


@pytest.mark.parametrize('window', [1, 3, 5])
def test_attention_is_what_its_equations_say(window):
    """In float64; the small number that guards closed gates is what remains."""
    layer = KeyOnlyAttention2d(12, 3, window).double()
    x = torch.randn(2, 6, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(layer(x), equations(layer, x), atol=1e-5, rtol=0)


def test_closed_gates_give_no_context():
    layer = KeyOnlyAttention2d(12, 3)
    torch.nn.init.constant_(layer.saliency.bias, -200)
    x = torch.randn(1, 6, 7, 12, requires_grad=True)
    found = layer(x)
    assert found.abs().max() < 1e-6
    found.sum().backward()
    assert torch.isfinite(x.grad).all()


def block(kind: type):
    """The first block of a stage whose mixer is of a kind, in float64."""
    model = CASES['LinGlo'].build().double()
    return next(b for b in model.stages[1].blocks if isinstance(b.mixer, kind))


def reach(function, size: int = 24) -> torch.Tensor:
    """How much each output position changes when the one at (10, 13) does, [Y, X]."""
    x = torch.randn(1, size, size, 64, dtype=torch.float64)
    other = x.clone()
    other[:, 10, 13] += torch.randn(64, dtype=torch.float64)
    with torch.no_grad():
        return (function(other) - function(x)).norm(dim=-1)[0]


def test_one_attention_block_is_global_and_stronger_near():
    change = reach(block(KeyOnlyAttention2d))
    assert (change > 0).all(), 'every position is reached'
    change[10, 13] = 0
    near = torch.zeros_like(change, dtype=torch.bool)
    near[9:12, 12:15] = True
    near[10, 13] = False
    assert change[near].min() > 10 * change[~near].max(), 'neighbours are reached far more strongly'


def test_a_convolution_block_is_local():
    changed = reach(block(DepthwiseSeparableConv2d)) > 0
    assert changed[9:12, 12:15].all()
    assert changed.sum() == 9


def test_blocks_alternate_in_every_stage():
    model = LinGlo('tiny')
    for stage, depth in zip(model.stages, LinGlo.ARCHS['tiny']['depths'], strict=True):
        kinds = [type(b.mixer) for b in stage.blocks]
        assert kinds == [DepthwiseSeparableConv2d, KeyOnlyAttention2d] * (depth // 2)


def flops(function, *args) -> int:
    with FlopCounterMode(display=False) as counter:
        function(*args)
    return counter.get_total_flops()


def test_cost_is_linear_in_tokens():
    """One average of the image is one multiply-add per value; nothing grows with T²."""
    attention = block(KeyOnlyAttention2d).mixer
    counts = [
        flops(attention, torch.randn(1, side, side, 64, dtype=torch.float64))
        for side in (8, 16, 32)
    ]
    assert counts[2] == 4 * counts[1] == 16 * counts[0]
    tokens, channels, heads = 8 * 8, 64, 2
    assert counts[0] == 2 * tokens * channels * (3 * channels + heads + 1)


class Largest(TorchDispatchMode):
    """Notes the number of entries of the largest tensor that any operation makes."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, torch.Tensor):
                self.entries = max(self.entries, x.numel())
        return out


def test_no_tensor_is_as_large_as_tokens_squared():
    attention = KeyOnlyAttention2d(8, 2)
    x = torch.randn(1, 40, 40, 8, requires_grad=True)
    with Largest() as largest:
        attention(x).square().sum().backward()
    assert largest.entries == x.numel()


@pytest.mark.parametrize(
    ('message', 'args'),
    [('multiple of heads, got 10 channels', (10, 3)), ('odd window, got 4', (12, 3, 4))],
)
def test_bad_settings(message, args):
    with pytest.raises(ValueError, match=message):
        KeyOnlyAttention2d(*args)
