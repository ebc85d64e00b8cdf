"""The numbers behind the pictures of `inspect`, on gates and models made by hand."""

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

import mmvig
from mmvig.kernels import bi_gla
from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.retention import Retention
from mmvig.visualization.inspect.features import channel_rms, pca_rgb
from mmvig.visualization.inspect.figures import numbers
from mmvig.visualization.inspect.mixers import decay_length, read_mixer
from mmvig.visualization.inspect.model import build_model
from mmvig.visualization.inspect.receptive_field import receptive_field, share_holding
from mmvig.visualization.inspect.record import default_layers, layer_names, record
from tests.support.backbone_cases import CASES


def test_decay_length_of_gates_made_by_hand():
    g = torch.tensor([[-1 / 8, -1 / 8], [-1 / 8, -1 / 32], [0.0, -0.0], [-1e-9, -2.0]])
    expected = torch.tensor([8, 20, 100, 50.25])
    torch.testing.assert_close(decay_length(g, 100), expected)


def test_weight_at_one_decay_length_is_1_over_e():
    """The length means for the operator what its docstring says."""
    length, tokens = 12, 40
    g = torch.full((1, tokens, 1, 1), -1 / length)
    ones = torch.ones(1, tokens, 1, 1)
    v = torch.zeros(1, tokens, 1, 1)
    v[0, 3] = 1
    o = bi_gla(ones, ones, v, g, None)[0, :, 0, 0]
    assert o[3 + int(decay_length(g, tokens)[0, 0])] == pytest.approx(o[3].item() / math.e)


def test_mixer_maps_show_the_gates():
    """Two heads, lengths 5 and 9 forward, 17 and 6 backward, injection 0.25 and 0.75."""
    mixer = GatedLinearAttention2d(8, heads=2)
    lengths = torch.tensor([[5.0, 9.0], [17.0, 6.0]])
    with torch.no_grad():
        mixer.gate_up.weight.zero_()
        mixer.inject_gate.weight.zero_()
        wanted = -16 / lengths.repeat_interleave(2, dim=1).flatten()  # logsigmoid of the logits
        mixer.gate_up.bias.copy_(-torch.log(torch.expm1(-wanted)))
        mixer.inject_gate.bias.copy_(torch.logit(torch.tensor([0.25, 0.75]).repeat_interleave(4)))
    x_BTC = torch.randn(1, 6 * 7, 8)
    outputs = {
        'gate_up': mixer.gate_up(mixer.gate_down(x_BTC)),
        'inject_gate': mixer.inject_gate(x_BTC.unflatten(1, (6, 7))),
    }
    maps = read_mixer(mixer, outputs, (6, 7)).maps_HYX
    for name, length_H in zip(('decay forward', 'decay backward'), lengths, strict=True):
        torch.testing.assert_close(maps[name], length_H[:, None, None].expand(2, 6, 7))
    expected = torch.tensor([0.25, 0.75])[:, None, None].expand(2, 6, 7)
    torch.testing.assert_close(maps['injection'], expected)


def test_receptive_field_of_a_convolution_is_its_kernel():
    conv = nn.Conv2d(3, 2, 3, padding=1)
    image = torch.randn(1, 3, 8, 11, requires_grad=True)
    field = receptive_field(conv(image)[0].permute(1, 2, 0), image)
    kernel = conv.weight.sum(0).abs().sum(0)
    expected = torch.zeros(8, 11)
    expected[3:6, 4:7] = kernel / kernel.max()
    torch.testing.assert_close(field, expected)


def test_receptive_field_of_a_global_mean_is_even():
    image = torch.randn(1, 3, 6, 8, requires_grad=True)
    output = image.mean((2, 3)).expand(2, 2, 3)
    field = receptive_field(output, image)
    torch.testing.assert_close(field, torch.ones(6, 8))
    assert share_holding(field, 0.5) == 0.5
    assert share_holding(field, 1) == 1


def test_share_of_pixels_holding_most_of_the_field():
    field = torch.tensor([[0.0, 4, 0, 0], [1, 4, 1, 0]])
    assert share_holding(field, 0.4) == 1 / 8
    assert share_holding(field, 0.8) == 2 / 8
    assert share_holding(field, 0.81) == 3 / 8
    assert share_holding(field, 1) == 4 / 8


def test_views_of_features():
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 9), torch.linspace(0, 4, 12), indexing='ij')
    x = torch.stack([rows, columns, torch.full_like(rows, 7), 0 * rows], dim=-1)
    expected = ((rows**2 + columns**2 + 49) / 4).sqrt()
    torch.testing.assert_close(channel_rms(x), expected)
    colours = pca_rgb(x)
    assert colours.shape == (9, 12, 3)
    # Most of the variance runs along the columns, the rest along the rows, and no more is there.
    torch.testing.assert_close(colours[..., 0], (columns / 4).clamp(0, 1), atol=0.03, rtol=0)
    torch.testing.assert_close(colours[..., 1], rows, atol=0.03, rtol=0)
    assert not colours[..., 2].any()


@pytest.mark.parametrize('name', CASES)
def test_record_of_every_backbone(name):
    case = CASES[name]
    backbone = case.build()
    image = torch.randn(1, 3, 68, 97)
    before = backbone.eval()(image)
    names = layer_names(backbone)
    layers = record(backbone, image, names)
    assert list(layers) == names
    assert set(default_layers(backbone)) < set(names)
    for layer, (maps, output, field) in layers.items():
        assert field.shape == (68, 97)
        assert 0 <= field.min() <= field.max() == 1
        for x_HYX in maps.maps_HYX.values():
            assert x_HYX.shape[1:] == output.shape[:2]
            assert torch.isfinite(x_HYX).all()
            assert (x_HYX > 0).all()
        mixer = type(backbone.get_submodule(layer).mixer).__name__
        assert (
            set(maps.maps_HYX)
            == {
                'GatedLinearAttention2d': {'decay forward', 'decay backward', 'injection'},
                'Retention': set(),
                'KeyOnlyAttention2d': {'saliency', 'global share'},
                'DepthwiseSeparableConv2d': set(),
            }[mixer]
        )
        assert bool(maps.not_applicable) == (mixer != 'GatedLinearAttention2d')
        assert (maps.log_decay_H is not None) == (mixer == 'Retention')
    assert not any(module._forward_hooks for module in backbone.modules())
    assert all(torch.equal(a, b) for a, b in zip(before, backbone(image), strict=True))
    json.dumps(numbers(layers))


def test_autoregressive_receptive_field_ends_at_the_token():
    image = torch.randn(1, 3, 64, 80)
    for mode, sees in (('autoregressive', False), ('bidirectional', True)):
        backbone = CASES['ViR'].build(mode=mode)
        field = record(backbone, image, ['blocks.5'])['blocks.5'].receptive_field_YX
        assert field[:32].min() > 0
        assert bool(field[48:].any()) == sees  # the centre is in row 2 of 4


def test_decay_of_retention_is_reported():
    maps = read_mixer(Retention(8, heads=2), {}, (1, 1))
    assert (1 - maps.log_decay_H.exp()).tolist() == pytest.approx([1 / 32, 1 / 512])


def test_unknown_mixers_and_layers_are_refused():
    with pytest.raises(TypeError, match='expected a mixer of GatedLinearAttention2d, .*got Linear'):
        read_mixer(nn.Linear(2, 2), {}, (1, 1))
    backbone = CASES['MultiScaleViG'].build(out_indices=(0,))
    with pytest.raises(ValueError, match=r'expected layers of stages.0.blocks.0, .*got blocks.9'):
        record(backbone, torch.zeros(1, 3, 32, 32), ['blocks.9'])
    with pytest.raises(ValueError, match=r'stages.3.blocks.0 comes after them'):
        record(backbone, torch.zeros(1, 3, 32, 32), ['stages.3.blocks.0'])


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    """The working folder, with a picture of 40×64 pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), noise)
    (tmp_path / 'note.png').write_text('not an image')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_draws_two_checkpoints_side_by_side(cli, here):
    cfg = Config.fromfile(mmvig.get_config('vig_upernet_mini'))
    for seed, name in enumerate(('one', 'two')):
        model = build_model(cfg, None)
        with torch.no_grad():
            model.backbone.stages[3].blocks[0].mixer.inject_gate.bias.fill_(seed)
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, f'{name}.pth')
    layer = 'stages.3.blocks.0'
    models = ('vig_upernet_mini', 'one.pth', 'a.png', '--against', 'two.pth')
    out = cli.output('inspect', *models, '--layers', layer, '--out', 'out')
    pictures = [f'{layer}_{kind}' for kind in ('decay', 'injection', 'features', 'receptive-field')]
    listed = [line for line in out.splitlines() if line.startswith('out/')]
    assert listed == [f'out/{name}.png' for name in pictures]
    for name in pictures:
        assert min(cv2.imread(f'out/{name}.png').shape[:2]) > 200
    written = json.loads((here / 'out/numbers.json').read_text())
    for name, expected in (('one', 0.5), ('two', 0.731)):
        assert written[name][layer]['mean per head']['injection'] == pytest.approx(
            [expected] * 8, abs=0.02
        )


@pytest.mark.parametrize(
    ('config', 'pictures', 'sentence'),
    [
        ('vir_upernet_mini', ['decay'], 'no gates: the decay of retention is a constant per head'),
        ('linglo_upernet_mini', ['saliency', 'global-share'], 'no decay: key-only attention'),
    ],
)
def test_command_names_figures_that_do_not_apply(config, pictures, sentence, cli, here):
    layer = 'blocks.5' if config.startswith('vir') else 'stages.3.blocks.1'
    out = cli.output('inspect', config, 'a.png', '--layers', layer, '--out', 'out')
    expected = {f'{layer}_{kind}.png' for kind in (*pictures, 'features', 'receptive-field')}
    assert {path.name for path in (here / 'out').glob('*.png')} == expected
    assert f'{layer}: {sentence}' in out


@pytest.mark.parametrize(
    ('message', 'args'),
    [
        ('expected a whole image, note.png cannot be read', ['vig_upernet_mini', 'note.png']),
        ('expected layers of .* got heads', ['vig_upernet_mini', 'a.png', '--layers', 'heads']),
        ('random weights twice', ['vig_upernet_mini', 'a.png', '--against', 'random']),
        ('expected a checkpoint file at absent.pth', ['vig_upernet_mini', 'absent.pth', 'a.png']),
    ],
)
def test_command_errors_say_what_to_do(message, args, cli, here):
    assert re.search(message, cli.user_error('inspect', *args, '--out', 'out'))
