"""ViG, multi-scale and plain: the numbers of the official code."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmvig.checkpoint import from_official, to_official
from mmvig.models.backbones import MultiScaleViG, PlainViG
from tests.support import golden
from tests.support.golden import relative

MULTI_SCALE = {'tiny': 27_833_024, 'small': 49_284_032, 'base': 87_881_152, 'nano': 1_694_240}
PLAIN = {'tiny': 5_834_536, 'small': 22_615_144, 'base': 89_022_184}


@pytest.mark.parametrize('training', [True, False])
def test_multi_scale_reproduces_the_official_code(training):
    """Measured: maps within 7e-6 of the largest value, gradients within 2e-5."""
    expected = golden.results('vig_h_tiny_64x96')
    model = MultiScaleViG('tiny').train(training)
    model.load_state_dict(from_official(golden.backbone_weights('vig_h_tiny')))
    image = golden.image(64, 96).requires_grad_()
    maps = model(image)
    loss = 0
    for i, found in enumerate(maps):
        assert relative(found, expected[f'stage{i}']) < 2e-5
        loss = loss + (found * torch.arange(found.numel()).view(found.shape).cos()).mean()
    loss.backward()
    assert relative(loss, expected['loss']) < 1e-5
    assert relative(image.grad, expected['grad_input']) < 5e-5
    grads = to_official({name: p.grad for name, p in model.named_parameters()})
    keys = [key for key in expected if key.startswith('grad:')]
    assert len(keys) == 5
    for key in keys:
        assert relative(grads[key.removeprefix('grad:')], expected[key]) < 5e-5, key


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('size', [(224, 224), (160, 256)])
def test_plain_reproduces_the_official_code(size, training):
    """Measured: tokens within 1e-5 of the largest value, logits 2e-6, loss and gradients 1e-5."""
    expected = golden.results('vig_tiny_{}x{}'.format(*size))
    weights = from_official(golden.weights('vig_tiny'))
    head_weight, head_bias = weights.pop('head.fc.weight'), weights.pop('head.fc.bias')
    model = PlainViG('tiny').train(training)
    model.load_state_dict(weights)
    image = golden.image(*size).requires_grad_()
    (found,) = model(image)
    tokens_BTC = found.flatten(2).transpose(1, 2)
    loss = (tokens_BTC * torch.arange(found.numel()).view(tokens_BTC.shape).cos()).mean()
    loss.backward()
    logits = F.linear(tokens_BTC.mean(1), head_weight, head_bias)
    assert relative(tokens_BTC, expected['tokens']) < 3e-5
    assert relative(logits, expected['logits']) < 1e-5
    assert relative(loss, expected['loss']) < 1e-4
    assert relative(image.grad, expected['grad_input']) < 3e-5


@pytest.mark.parametrize(('arch', 'count'), MULTI_SCALE.items())
def test_multi_scale_parameters(arch, count):
    with torch.device('meta'):
        model = MultiScaleViG(arch)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(('arch', 'count'), PLAIN.items())
def test_plain_parameters_with_the_official_head(arch, count):
    official = golden.official_shapes(f'vig_{arch}')
    assert sum(math.prod(shape) for shape in official.values()) == count
    with torch.device('meta'):
        model = PlainViG(arch)
        head = torch.nn.Linear(*model.out_channels, 1000)
    assert sum(p.numel() for part in (model, head) for p in part.parameters()) == count


@pytest.mark.parametrize('axis', [1, 2])
def test_positions_are_resized_as_an_image(axis):
    """What varies along one axis only still does, in the same order; the own grid is kept."""
    model = PlainViG('nano')
    ramp = torch.arange(14.0).view((1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1))
    grid = ramp.expand(1, 14, 14, 128)
    with torch.no_grad():
        model.pos_embed.copy_(grid.flatten(1, 2))
    assert torch.equal(model.positions(14, 14), grid)
    found = model.positions(5, 40)
    assert found.shape == (1, 5, 40, 128)
    assert (found.diff(dim=axis) > 0).all()
    assert found.diff(dim=3 - axis).abs().max() < 1e-4
    assert found.mean().item() == pytest.approx(6.5, abs=1e-4)


def test_padding_stands_to_the_right_and_below():
    model = PlainViG('nano')
    model.init_weights()
    image = torch.zeros(1, 3, 48, 64)
    image[..., :37, :53] = torch.randn(37, 53)
    assert torch.equal(model(image)[0], model(image[..., :37, :53])[0])


def test_intermediate_maps_are_those_of_a_shallower_backbone():
    deep = PlainViG('nano', out_indices=(2, 5))
    deep.init_weights()
    shallow = PlainViG(PlainViG.ARCHS['nano'] | dict(depth=3))
    weights = deep.state_dict()
    for key in shallow.state_dict():
        weights[key] = weights[key.replace('norm.', 'norm2.') if key.startswith('norm.') else key]
    shallow.load_state_dict({key: weights[key] for key in shallow.state_dict()})
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(deep(image)[0], shallow(image)[0])


def test_position_grid_must_fit():
    with pytest.raises(ValueError, match='pretrain_img_size to be a multiple of 16, got 100'):
        PlainViG('nano', pretrain_img_size=100)
    assert PlainViG('nano', pretrain_img_size=512).pos_embed.shape == (1, 32 * 32, 128)
