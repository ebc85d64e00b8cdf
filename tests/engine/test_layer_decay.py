"""Layer-wise learning-rate decay."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

CONSTRUCTOR = 'mmvig.LayerDecayOptimWrapperConstructor'


def rates(config: str, paramwise: dict) -> dict[str, SimpleNamespace]:
    """Learning rate and weight decay of every parameter of a config's model."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    cfg.optim_wrapper.update(constructor=CONSTRUCTOR, paramwise_cfg=paramwise)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: SimpleNamespace(lr=group['lr'], decay=group['weight_decay'])
        for group in optimizer.param_groups
        for p in group['params']
    }
    assert found.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    return found


@pytest.mark.parametrize(
    ('config', 'heads'),
    [
        ('det/vig_maskrcnn_mini.py', ('neck.', 'rpn_head.', 'roi_head.')),
        ('seg/vig_upernet_mini.py', ('decode_head.', 'auxiliary_head.')),
        ('cls/vig_classifier_mini.py', ('head.',)),
    ],
)
def test_rates_shrink_with_the_distance_from_the_head(config, heads, root):
    """ViG nano has depths 1-1-2-1: stem, five blocks and the output norms are seven layers."""
    path = root / 'configs' / config
    paramwise = dict(layer_decay_rate=0.5, custom_keys={'norm': dict(decay_mult=0.0)})
    found = rates(path, paramwise)
    lr = Config.fromfile(path).optim_wrapper.optimizer.lr
    expected = {
        'backbone.stem.0.conv.weight': 2**-6,
        'backbone.stages.0.blocks.0.mixer.qkv.weight': 2**-5,
        'backbone.stages.0.downsample.norm.bias': 2**-5,
        'backbone.stages.2.blocks.0.mlp.fc1.weight': 2**-3,
        'backbone.stages.2.blocks.1.mlp.fc1.weight': 2**-2,
        'backbone.stages.3.blocks.0.norm1.weight': 2**-1,
        'backbone.norm3.weight': 1,
    }
    for name, scale in expected.items():
        assert found[name].lr == pytest.approx(lr * scale), name
    for name, group in found.items():
        if name.startswith(heads):
            assert group.lr == lr, name
        if 'norm' in name:
            assert group.decay == 0, name
    assert found['backbone.stages.0.blocks.0.mixer.qkv.weight'].decay > 0


def test_custom_keys_multiply_the_layer_rates(root):
    paramwise = dict(layer_decay_rate=0.5, custom_keys={'stem': dict(lr_mult=0.1)})
    found = rates(root / 'configs/det/vig_maskrcnn_mini.py', paramwise)
    plain = rates(root / 'configs/det/vig_maskrcnn_mini.py', dict(layer_decay_rate=0.5))
    name = 'backbone.stem.0.conv.weight'
    assert found[name].lr == pytest.approx(0.1 * plain[name].lr)


@pytest.mark.parametrize('paramwise', [{}, dict(layer_decay_rate=0), dict(layer_decay_rate='0.9')])
def test_missing_or_wrong_rate_is_refused(paramwise, root):
    with pytest.raises(ValueError, match=r'expected paramwise_cfg.layer_decay_rate in \(0, 1\]'):
        rates(root / 'configs/cls/vig_classifier_mini.py', paramwise)


def test_backbone_without_layer_depths_is_refused():
    init_default_scope('mmdet')
    model = MODELS.build(
        dict(type='mmdet.FPN', in_channels=[8, 8], out_channels=8, num_outs=2, _scope_='mmdet')
    )
    wrapper = dict(
        optimizer=dict(type='AdamW', lr=1e-3),
        constructor=CONSTRUCTOR,
        paramwise_cfg=dict(layer_decay_rate=0.9),
    )
    with pytest.raises(ValueError, match='get_layer_depth.*FPN'):
        build_optim_wrapper(model, wrapper)
