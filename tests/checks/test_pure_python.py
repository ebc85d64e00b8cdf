"""Pure-Python configs, with classes as types, mean what configs with names mean."""

import copy
import importlib
import sys

import mmcv.transforms
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from torch import nn

from mmvig.checks import check
from mmvig.checks.pure_python import by_names
from mmvig.configs import get_config
from tests.support.pure_python import write_pure_python

CONFIGS = ['vig_maskrcnn_mini', 'vig_upernet_mini', 'vig_classifier_mini']
OWN = """
from mmdet.models import MaskRCNN
from own_parts import OwnBackbone, OwnNeck

default_scope = None
model = dict(type=MaskRCNN, backbone=dict(type=OwnBackbone), neck=dict(type=OwnNeck))
"""


def without_scopes(node):
    """Names of configs that others build on say in which scope they stand."""
    if isinstance(node, dict):
        return {key: without_scopes(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, list | tuple):
        return type(node)(map(without_scopes, node))
    return node


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_survives_the_way_to_classes_and_back(name, tmp_path):
    cfg = Config.fromfile(get_config(name))
    classes = write_pure_python(cfg, tmp_path / 'lazy.py')
    assert len(classes) > 20
    lazy = Config.fromfile(tmp_path / 'lazy.py')
    assert isinstance(lazy.model.type, type)
    assert without_scopes(by_names(lazy).to_dict()) == without_scopes(cfg.to_dict())
    check(lazy)


def test_names_are_of_the_same_classes():
    """mmdet has a `Resize` of its own, which the name alone would mean."""
    init_default_scope('mmdet')
    steps = [dict(type=mmcv.transforms.Resize), dict(type=mmcv.transforms.Normalize)]
    cfg = by_names(Config(dict(default_scope='mmdet', steps=steps)))
    assert cfg.steps[0].type == 'mmengine.Resize'
    assert cfg.steps[1].type == 'Normalize'
    with TRANSFORMS.switch_scope_and_registry('mmdet') as registry:
        found = [registry.get(step.type) for step in cfg.steps]
    assert found == [mmcv.transforms.Resize, mmcv.transforms.Normalize]


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A module with a backbone that is registered and a neck that is not."""
    (tmp_path / 'own_parts.py').write_text(
        'from mmengine.model import BaseModule\n'
        'from mmdet.registry import MODELS\n\n\n'
        '@MODELS.register_module(force=True)\nclass OwnBackbone(BaseModule):\n    pass\n\n\n'
        'class OwnNeck(BaseModule):\n    pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module('own_parts')
    del sys.modules['own_parts']


def test_classes_of_ones_own_are_named(own_parts, tmp_path):
    (tmp_path / 'own.py').write_text(OWN)
    cfg = by_names(Config.fromfile(tmp_path / 'own.py'))
    assert cfg.default_scope == 'mmdet'
    assert cfg.model.type == 'MaskRCNN'
    assert cfg.model.backbone.type == 'OwnBackbone'
    assert cfg.model.neck.type == 'own_parts.OwnNeck'
    init_default_scope('mmdet')
    assert type(MODELS.build(cfg.model.neck)) is own_parts.OwnNeck


def test_a_class_without_a_path_stays():
    class Local(nn.Module):
        pass

    cfg = Config(dict(model=dict(type=Local)))
    assert by_names(cfg).model.type is Local


def test_a_config_with_names_is_left_alone():
    cfg = Config.fromfile(get_config('vig_maskrcnn_mini'))
    assert by_names(cfg) is cfg


def test_modules_that_a_config_imports_are_no_settings(tmp_path):
    """Runners copy their config, and a module cannot be copied."""
    text = 'import sys\nfrom mmdet.models import MaskRCNN\nmodel = dict(type=MaskRCNN)\n'
    (tmp_path / 'lazy.py').write_text(f"{text}work_dir = sys.intern('a')\n")
    named = by_names(Config.fromfile(tmp_path / 'lazy.py'))
    assert set(named) == {'model', 'work_dir', 'default_scope'}
    assert copy.deepcopy(named).work_dir == 'a'


def test_an_import_that_fails_is_told(tmp_path, cli):
    config = tmp_path / 'lazy.py'
    config.write_text('from mmdet.models import MaskRCN\n\nmodel = dict(type=MaskRCN)\n')
    message = cli.user_error('flops', config)
    assert f'expected a config in {config}, it cannot be read: ImportError' in message


@pytest.mark.parametrize('name', ['det', 'seg'])
def test_commands_take_both_kinds_alike(name, input_folder, cli):
    write_pure_python(Config.fromfile(f'{name}.py'), input_folder / 'lazy.py')
    counted = [
        cli.output('flops', f'{kind}.py', '--json').splitlines()[-1] for kind in (name, 'lazy')
    ]
    assert counted[0] == counted[1]
    without_validation = ('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None')
    cli.output('train', 'lazy.py', '--work-dir', 'run', '--cfg-options', *without_validation)
    assert list((input_folder / 'run').glob('*.pth'))


def test_a_pure_python_config_predicts(input_folder, cli):
    """The inferencers compare names of transforms."""
    write_pure_python(Config.fromfile('seg.py'), input_folder / 'lazy.py')
    cli.output('predict', 'lazy.py', 'seg.pth', 'data/images/0.jpg', '--out', 'out')
    assert (input_folder / 'out/pred/0.png').is_file()
