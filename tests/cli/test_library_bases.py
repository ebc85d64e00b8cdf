"""`_base_ = 'mmseg::…'` finds the configs of mmseg from whichever package it was installed."""

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

import mmvig
from mmvig.cli.config import read_config
from mmvig.configs import find_library_bases

BASES = {
    'mmseg': 'mmseg::_base_/models/upernet_swin.py',
    'mmdet': 'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmpretrain': 'mmpretrain::_base_/models/resnet50.py',
}


@pytest.fixture(autouse=True)
def fresh_table(monkeypatch):
    """As before any command of this process."""
    monkeypatch.setitem(MODULE2PACKAGE, 'mmseg', 'mmsegmentation')


@pytest.fixture(params=BASES)
def config(request, tmp_path):
    path = tmp_path / 'own.py'
    path.write_text(
        f'_base_ = {BASES[request.param]!r}\n'
        f'default_scope = {request.param!r}\n'
        "model = dict(backbone=dict(_delete_=True, type='mmvig.MultiScaleViG', arch='nano'))\n"
    )
    return path


def test_commands_read_bases_of_every_library(config):
    cfg = read_config(str(config))
    assert cfg.model.backbone == dict(type='mmvig.MultiScaleViG', arch='nano')
    assert 'type' in cfg.model


def test_programs_find_them_after_asking_for_a_config(config):
    mmvig.get_config('vig_upernet_mini')
    assert 'type' in Config.fromfile(config).model


def test_a_name_that_is_right_stays(monkeypatch):
    """Upstream's package is called as mmengine says."""
    monkeypatch.setitem(MODULE2PACKAGE, 'mmseg', 'numpy')  # some package that is installed
    find_library_bases()
    assert MODULE2PACKAGE['mmseg'] == 'numpy'


def test_a_library_that_is_not_there_is_told(tmp_path, cli):
    path = tmp_path / 'own.py'
    path.write_text("_base_ = 'mmocr::_base_/x.py'\n")
    assert 'mmocr is not installed' in cli.user_error('flops', path)
