"""ViR: three forms of retention with equal numbers, the class token, and sizes."""

import pytest
import torch

from mmvig.models.backbones import ViR
from mmvig.models.layers.retention import FORMS, Retention
from tests.support.backbone_cases import CASES

MODES = {'autoregressive': False, 'bidirectional': True}


def formula(layer: Retention, x_BTC: torch.Tensor) -> torch.Tensor:
    """The paper's sum, entry by entry."""
    q, k, v = layer.qkv(x_BTC).unflatten(-1, (3, layer.heads, -1)).unbind(2)
    out = torch.zeros_like(v)
    for t in range(x_BTC.shape[1]):
        for s in range(x_BTC.shape[1]):
            if s > t and not layer.bidirectional:
                continue
            decay = layer.log_decay.exp() ** abs(t - s)
            share = 0.5 if layer.bidirectional and s != t else 1
            score = (q[:, t] * k[:, s]).sum(-1) * q.shape[-1] ** -0.5 * decay * share
            out[:, t] += score[..., None] * v[:, s]
    return layer.proj(out.flatten(2))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('mode', MODES)
def test_each_form_is_the_papers_formula(mode, form):
    """Outputs and all gradients, in float64; measured: 2e-15."""
    layer = Retention(24, 3, MODES[mode], form).double()
    x = torch.randn(2, 20, 24, dtype=torch.float64, requires_grad=True)
    found, expected = layer(x), formula(layer, x)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    wanted = [x, *layer.parameters()]
    upstream = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, wanted, upstream),
        torch.autograd.grad(expected, wanted, upstream),
        atol=1e-11,
        rtol=0,
    )


@pytest.mark.parametrize('out_type', ['featmap', 'cls_token'])
@pytest.mark.parametrize('mode', MODES)
def test_the_backbone_says_the_same_in_every_form(mode, out_type):
    """Measured in float64: 7e-15."""
    image = torch.randn(2, 3, 150, 170, dtype=torch.float64)
    found = {}
    for form in FORMS:
        torch.manual_seed(0)
        options = dict(mode=mode, form=form, out_type=out_type)
        (found[form],) = CASES['ViR'].build(**options).double()(image)
    for form in FORMS:
        torch.testing.assert_close(found[form], found['parallel'], atol=1e-12, rtol=0)
    assert found['parallel'].shape == ((2, 128, 10, 11) if out_type == 'featmap' else (2, 128))


def test_one_token_at_a_time_in_constant_memory():
    model = CASES['ViR'].build(out_type='cls_token').double().eval()
    image = torch.randn(2, 3, 64, 80, dtype=torch.float64)
    tokens = model.to_blocks(model.embed(image))
    states, sizes = None, set()
    for token in tokens.unbind(1):
        states, output = model.step(states, token)
        sizes.add(sum(state.numel() for state in states))
    assert sizes == {6 * 2 * 4 * 32 * 32}, 'B·H·K·V for each block, whatever the number of tokens'
    torch.testing.assert_close(output, model(image)[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize('op_backend', ['auto', 'chunked', 'reference'])
def test_parts_and_single_tokens_follow_one_another(op_backend):
    """In float64; the states of parts and of single tokens are the same. Measured: 7e-15."""
    options = dict(out_type='cls_token', op_backend=op_backend)
    model = CASES['ViR'].build(**options).double().eval()
    image = torch.randn(2, 3, 64, 80, dtype=torch.float64)
    with torch.no_grad():
        tokens = model.to_blocks(model.embed(image))
        states, outputs = None, []
        for part in tokens.split((1, 7, 1, 1, 10, 1), dim=1):
            single = part.shape[1] == 1 and len(outputs) != 2  # one part of one token
            states, output = model.step(states, part[:, 0] if single else part)
            outputs.append(output[:, None] if single else output)
        whole_states, whole = model.step(None, tokens)
        torch.testing.assert_close(torch.cat(outputs, 1), whole, atol=1e-12, rtol=0)
        torch.testing.assert_close(states, whole_states, atol=1e-12, rtol=0)
        torch.testing.assert_close(whole[:, -1], model(image)[0], atol=1e-12, rtol=0)


def test_several_tokens_at_once_have_no_gradients():
    model = CASES['ViR'].build()
    with pytest.raises(RuntimeError, match='states have no gradients'):
        model.step(None, torch.randn(1, 2, 128))


def test_steps_need_an_order_of_tokens_and_the_final_norm():
    token = torch.randn(1, 128)
    with pytest.raises(ValueError, match='expected an autoregressive retention'):
        ViR('nano', mode='bidirectional').step(None, token)
    with pytest.raises(ValueError, match='out_indices with the last block, 5'):
        ViR('nano', out_indices=(2,)).step(None, token)


@pytest.mark.parametrize('mode', MODES)
def test_who_reads_whom(mode):
    """A change of the fifth patch: not seen before it by an autoregressive backbone."""
    model = CASES['ViR'].build(mode=mode).eval()
    image = torch.randn(1, 3, 48, 48)
    other = image.clone()
    other[..., 20:30, 20:30] += 1
    changed = (model(image)[0] != model(other)[0]).any(1).flatten()
    expected = torch.ones(9, dtype=torch.bool) if MODES[mode] else torch.arange(9) >= 4
    assert torch.equal(changed, expected)


def test_the_class_token_comes_last_and_needs_a_reader():
    """Autoregressive patches stand before it, so that maps do without and its weight waits."""
    weights = CASES['ViR'].build().state_dict()
    weights['cls_token'] = torch.randn(1, 1, 128)
    image = torch.randn(1, 3, 48, 48)
    for mode, bidirectional in MODES.items():
        reads = []
        for token in (weights['cls_token'], -weights['cls_token']):
            for out_type in ('featmap', 'cls_token'):
                model = CASES['ViR'].build(mode=mode, out_type=out_type).eval()
                model.load_state_dict(weights | {'cls_token': token})
                assert model.cls_token.requires_grad == (bidirectional or out_type == 'cls_token')
                reads.append(model(image)[0])
        assert torch.equal(reads[0], reads[2]) != bidirectional
        assert not torch.equal(reads[1], reads[3])


def test_decays_are_those_of_the_authors_code():
    decay = Retention(48, 6).double().log_decay.exp()
    assert decay[0].item() == pytest.approx(31 / 32)
    assert decay[-1].item() == pytest.approx(511 / 512)
    ratios = (1 - decay[1:]) / (1 - decay[:-1])
    assert ratios.tolist() == pytest.approx([16**-0.2] * 5, rel=1e-4)


@pytest.mark.parametrize(
    ('arch', 'transformer'),
    [('small', 22_050_664), ('base', 86_567_656), ('large', 304_326_632)],
)
def test_sizes_are_those_of_the_vision_transformer(arch, transformer):
    """ViT of that size with its head, less the class token's position, and with LayerScale."""
    with torch.device('meta'):
        model = ViR(arch)
        head = torch.nn.Linear(*model.out_channels, 1000)
    count = sum(p.numel() for part in (model, head) for p in part.parameters())
    (width,) = model.out_channels
    assert count == transformer - width + 2 * len(model.blocks) * width


def test_layer_scale_starts_as_told():
    assert (ViR('nano').blocks[3].scale2.weight == 1e-5).all()
    assert (ViR('nano', layer_scale_init_value=0.1).blocks[0].scale1.weight == 0.1).all()


@pytest.mark.parametrize(
    ('message', 'kwargs'),
    [
        ('mode to be one of autoregressive, bidirectional', dict(mode='both')),
        ('form to be one of parallel, chunkwise, recurrent', dict(form='fast')),
        ('out_type to be one of featmap, cls_token', dict(out_type='raw')),
    ],
)
def test_unknown_choices(message, kwargs):
    with pytest.raises(ValueError, match=message):
        ViR('nano', **kwargs)
