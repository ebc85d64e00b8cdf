"""What holds for every backbone: every arch, every size, freezing, registration."""

import importlib
import inspect

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS

from mmvig.models.backbones import LinGlo, MultiScaleViG, PlainViG, ViR
from tests.support import golden
from tests.support.backbone_cases import CASES, Case

ARCHS = [(cls, arch) for cls in (MultiScaleViG, LinGlo, PlainViG, ViR) for arch in cls.ARCHS]


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize(('cls', 'arch'), ARCHS)
def test_every_arch_runs_and_keeps_its_word_at_odd_sizes(cls, arch):
    model = cls(arch).eval()
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 37, 53))
    assert isinstance(maps, tuple)
    assert [x.shape for x in maps] == [
        (1, width, -(-37 // stride), -(-53 // stride))
        for width, stride in zip(model.out_channels, model.out_strides, strict=True)
    ]


def test_two_outputs(case):
    model = case.build(out_indices=case.two).eval()
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 64, 96))
        rest = case.build(out_indices=case.two[::-1])
    assert rest.out_indices == model.out_indices == case.two
    shapes = [(x.shape[1], 64 // x.shape[2], 96 // x.shape[3]) for x in maps]
    assert shapes == [(c, s, s) for c, s in zip(model.out_channels, model.out_strides, strict=True)]


def test_what_no_map_needs_awaits_no_gradient(case):
    """Several processes would wait for it."""
    model = case.build(out_indices=(0, 1))
    sum(x.square().sum() for x in model(torch.randn(1, 3, 48, 48))).backward()
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learned == {n for n, p in model.named_parameters() if p.grad is not None}
    assert any(not p.requires_grad for p in model.parameters())


@pytest.mark.parametrize('size', [(1, 1), (1, 70), (33, 1), (37, 53), (64, 48)])
def test_any_size(case, size):
    model = case.build()
    image = torch.randn(2, 3, *size, requires_grad=True)
    maps = model(image)
    for found, stride in zip(maps, model.out_strides, strict=True):
        assert found.shape[2:] == tuple(-(-n // stride) for n in size)
        assert found.is_contiguous(), 'RoIAlign reads anything else wrongly'
        assert found.stride() == torch.empty(found.shape).stride()
    sum(x.square().sum() for x in maps).backward()
    assert torch.isfinite(image.grad).all()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing, 'every parameter gets a gradient'


def test_images_of_a_batch_do_not_see_each_other(case):
    model = case.build().eval()
    images = torch.randn(3, 3, 40, 56)
    for whole, alone in zip(model(images), model(images[1:2]), strict=True):
        torch.testing.assert_close(whole[1:2], alone, atol=2e-5, rtol=0)


def test_checkpointing_changes_nothing(case):
    model = case.build(drop_path_rate=0.3)
    image = torch.randn(2, 3, 40, 56)
    found = []
    for with_cp in (False, True):
        model.with_cp = with_cp
        model.zero_grad()
        torch.manual_seed(3)
        maps = model(image)
        sum(x.square().mean() for x in maps).backward()
        grads = [p.grad.clone() for p in model.parameters() if p.requires_grad]
        found.append([*maps, *grads])
    torch.testing.assert_close(*found, atol=0, rtol=0)


def test_drop_path_grows_to_its_rate_and_stops_in_eval(case):
    model = case.build(drop_path_rate=0.4)
    rates = [m.drop_prob for name, m in model.named_modules() if name.endswith('.drop_path')]
    assert rates == pytest.approx(torch.linspace(0, 0.4, len(rates)).tolist())
    image = torch.randn(2, 3, 32, 32)
    assert not torch.equal(model(image)[-1], model(image)[-1])
    model.eval()
    torch.testing.assert_close(model(image)[-1], model(image)[-1], atol=0, rtol=0)


@pytest.mark.parametrize('frozen', [-1, 0, 2, 'all'])
def test_frozen_stages_stay_frozen(case, frozen):
    frozen = case.stages if frozen == 'all' else frozen
    model = case.build(frozen_stages=frozen, out_indices=case.two).train()
    assert model.train() is model
    assert model.eval() is model
    model.train()
    free = {name for name, p in case.build(out_indices=case.two).named_parameters()}
    free -= {'cls_token'} if not getattr(model, 'reads_class', True) else set()
    stages = model.stages if hasattr(model, 'stages') else model.blocks
    assert len(stages) == case.stages
    thawed = {name for name, p in model.named_parameters() if p.requires_grad}
    for i, stage in enumerate(stages):
        assert stage.training == (i >= frozen)
        own = {
            name for name in free if name.split('.')[:2] in (['stages', str(i)], ['blocks', str(i)])
        }
        assert own
        assert own & thawed == (own if i >= frozen else set())
        free -= own
    norms = {name for name in free if name.startswith('norm')}
    assert len({name.split('.')[0] for name in norms}) == 2
    for name in norms:
        i = int(name.split('.')[0].removeprefix('norm') or case.stages - 1)
        assert (name in thawed) == (i >= frozen)
    first = free - norms
    assert first & thawed == (first if frozen < 0 else set())
    assert model.stem.training == (frozen < 0)
    if frozen < case.stages:
        sum(x.sum() for x in model(torch.randn(1, 3, 32, 32))).backward()


def test_layer_depths_rise_from_stem_to_output(case):
    model = case.build(out_indices=case.two)
    depth = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.')
             for name, _ in model.named_parameters()}  # fmt: skip
    blocks = sum(name.endswith('.norm1.weight') for name in depth)
    assert {total for _, total in depth.values()} == {blocks + 2}
    assert {layer for layer, _ in depth.values()} == set(range(blocks + 2))
    order = [name for name in depth if name.startswith(('stages', 'blocks'))]
    layers = [depth[name][0] for name in order]
    assert layers == sorted(layers)
    for name, (layer, total) in depth.items():
        if not name.startswith(('stages', 'blocks')):
            assert layer == (total - 1 if name.startswith('norm') else 0)


@pytest.mark.parametrize('library', ['mmdet', 'mmseg', 'mmpretrain'])
@pytest.mark.parametrize('cls', [MultiScaleViG, LinGlo, PlainViG, ViR])
def test_builds_by_its_scoped_name_in_every_library(cls, library):
    registry = importlib.import_module(f'{library}.registry').MODELS
    model = registry.build(dict(type=f'mmvig.{cls.__name__}', arch='nano', init_cfg=None))
    assert type(model) is cls
    assert registry.get(cls.__name__) is None, 'no bare name may be claimed'
    assert ROOT_MODELS.get(f'mmvig.{cls.__name__}') is cls


def test_init_weights_starts_as_documented(case):
    """Linear layers at 0.02, but those of plain ViG's mixers at Xavier's width times 2^-2.5."""
    model = case.build()
    plain_vig = isinstance(model, PlainViG)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module.weight.numel() > 2000:
            expected = 0.02
            if plain_vig and '.mixer.' in name:
                expected = 2**-2.5 * (2 / sum(module.weight.shape)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.15), name
            if module.bias is not None and not plain_vig:
                assert not module.bias.any(), name
    if hasattr(model, 'pos_embed'):
        assert model.pos_embed.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_is_finite_and_near_float32(case, dtype):
    """Measured over six seeds: up to 1.3 % of the largest value in bf16, 0.16 % in fp16."""
    model = case.build()
    image = torch.randn(2, 3, 64, 64)
    exact = model(image)
    with torch.autocast('cpu', dtype):
        maps = model(image)
    sum(x.float().square().mean() for x in maps).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    for found, expected in zip(maps, exact, strict=True):
        assert golden.relative(found.float(), expected.detach()) < (
            0.02 if dtype == torch.bfloat16 else 0.0025
        )


@pytest.mark.parametrize(
    ('error', 'message', 'kwargs'),
    [
        (ValueError, 'nano, tiny, small.*huge', dict(arch='huge')),
        (ValueError, 'arch dict with', dict(arch=dict(depths=(1, 1)))),
        (ValueError, r'out_indices within 0 … \d, got \(9,\)', dict(out_indices=(9,))),
        (ValueError, 'out_indices', dict(out_indices=())),
        (ValueError, r'frozen_stages within -1 … \d, got 9', dict(frozen_stages=9)),
        (TypeError, 'embed_dims', dict(embed_dims=50)),
        (ValueError, 'init_cfg=dict', dict(init_cfg=dict(type='Kaiming'))),
    ],
)
def test_bad_settings(case, error, message, kwargs):
    with pytest.raises(error, match=message):
        case.build(**kwargs)


@pytest.mark.parametrize(
    ('cls', 'message', 'arch'),
    [
        (
            MultiScaleViG,
            'one entry per stage',
            dict(channels=(32, 64), depths=(1,), heads=(1, 2), hidden=(64, 64)),
        ),
        (
            MultiScaleViG,
            'multiple of 2',
            dict(channels=(30,), depths=(1,), heads=(4,), hidden=(64,)),
        ),
        (ViR, 'multiple of heads', dict(channels=64, depth=1, heads=3)),
        (
            LinGlo,
            'depths of at least 2',
            dict(channels=(32,), depths=(1,), heads=(1,), hidden=(64,)),
        ),
    ],
)
def test_bad_sizes(cls, message, arch):
    with pytest.raises(ValueError, match=message):
        cls(arch, out_indices=(0,))


@pytest.mark.parametrize('shape', [(1, 4, 32, 32), (3, 32, 32)])
def test_bad_images(case, shape):
    with pytest.raises(ValueError, match=r'expected images of shape \[B, 3, height, width\], got'):
        case.build()(torch.randn(shape))


def test_arch_by_dict_and_grey_images(case):
    model = case.build(arch=case.sizes, out_indices=(0,), in_channels=1)
    (found,) = model(torch.randn(1, 1, 16, 16))
    assert found.shape[:2] == (1, *model.out_channels)


def test_every_option_is_documented():
    for cls in (MultiScaleViG, LinGlo, PlainViG, ViR):
        for name in list(inspect.signature(cls).parameters):
            assert f'\n        {name} (' in cls.__doc__, f'{cls.__name__}: {name}'
