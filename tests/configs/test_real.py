"""The configs on public sets: peers of one size that differ in nothing else, and that train."""

import copy
import functools
import math
import os

import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from mmvig.configs import config_root
from tests.support.real_sets import CLASSES, write_sets

FOLDER = config_root() / 'real'
OWN = ('nuclei_maskrcnn', 'bccd_retinanet')
PEERS = ('resnet-18', 'swin', 'convnext', 'plain-vig', 'vir', 'linglo')
ALL = [name if peer is None else f'peers/{name}_{peer}' for name in OWN for peer in (None, *PEERS)]
REAL = os.environ.get('MMVIG_REAL_DATA', '')


@functools.cache
def read(name: str, root: str) -> Config:
    return Config.fromfile(FOLDER / f'{name}.py')


def load(name: str) -> Config:
    cfg = copy.deepcopy(read(name, os.environ['MMVIG_REAL_DATA']))
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(scope='module', autouse=True)
def _drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMVIG_REAL_DATA', str(write_sets(tmp_path_factory.mktemp('sets'))))
        yield


def test_every_set_has_every_peer():
    found = {path.relative_to(FOLDER).with_suffix('').as_posix() for path in FOLDER.rglob('*.py')}
    assert found == set(ALL)


@pytest.mark.parametrize('own', OWN)
def test_peers_differ_in_the_backbone_alone(own):
    """And in the widths that the neck reads, or in the neck, for one map instead of several."""
    expected = load(own).to_dict()
    for peer in PEERS:
        cfg = load(f'peers/{own}_{peer}').to_dict()
        model, others = cfg.pop('model'), expected['model']
        assert {key: cfg[key] for key in cfg if not key.startswith('peer')} == {
            key: value for key, value in expected.items() if key != 'model'
        }
        assert {key for key in model if model[key] != others[key]} - {'neck'} == {'backbone'}
        differing = {key for key in others['neck'] if model['neck'].get(key) != others['neck'][key]}
        if model['neck']['type'] == 'FPN':
            assert differing <= {'in_channels'}
        header = (FOLDER / f'peers/{own}_{peer}.py').read_text().split('"""')[1]
        assert all(word in header for word in ('Command:', 'measured'))


@pytest.mark.parametrize('own', OWN)
def test_peers_have_the_parameters_of_vig_nano(own):
    """Within a tenth, but for ResNet-18, which is taken as it is."""

    def count(name: str) -> int:
        return sum(p.numel() for p in MODELS.build(load(name).model.backbone).parameters())

    expected = count(own)
    for peer in PEERS:
        if peer == 'resnet-18':
            assert count(f'peers/{own}_{peer}') > 5 * expected
        else:
            assert count(f'peers/{own}_{peer}') == pytest.approx(expected, rel=0.1)


def train(cfg: Config, crop: int, steps: int) -> None:
    """Steps of two crops; every parameter has a gradient, for which processes wait."""
    pipeline = cfg.train_dataloader.dataset.pipeline
    choice = next(step for step in pipeline if step.type == 'RandomChoice')
    for cut, resize in choice.transforms:
        cut.crop_size = (round(crop / resize.scale_factor),) * 2
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.metainfo['classes'] in CLASSES.values()
    samples = [sample for i in range(2 * steps + 2) if (sample := dataset[i % len(dataset)])]
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    for step in range(steps):
        losses = model.train_step(pseudo_collate(samples[2 * step : 2 * step + 2]), optimizer)
        assert math.isfinite(losses['loss'])
    trained = optimizer.optimizer.state
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p not in trained]
    assert not missing, f'they had no gradient, which would make DDP fail: {missing}'


@pytest.mark.parametrize('name', ALL)
def test_a_step_on_drawn_images(name):
    train(load(name), crop=96, steps=1)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason='needs MMVIG_REAL_DATA, a folder with nuclei/ and bccd/')
@pytest.mark.parametrize('name', ALL)
def test_steps_on_real_images(name, monkeypatch):
    monkeypatch.setenv('MMVIG_REAL_DATA', REAL)
    train(load(name), crop=320, steps=2)
