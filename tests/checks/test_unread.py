"""Sections and variables of a config that nothing reads are told, and no others."""

import pytest
from mmengine.config import Config

import mmvig
from mmvig.checks import UserError
from mmvig.checks.config import check_sections
from mmvig.checks.unread import OLD_SECTIONS, check_variable, describe_unread

BASE = """
train_pipeline = [dict(type='LoadImageFromFile')]
optimizer = dict(type='SGD', lr=0.1)
data_root = 'data/'
max_epochs = 12
batch = 12
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
    type='CocoDataset', data_root=data_root, pipeline=train_pipeline)))
optim_wrapper = dict(optimizer=optimizer)
train_cfg = dict(max_epochs=max_epochs)
"""


@pytest.fixture
def config(tmp_path):
    def make(text: str) -> Config:
        (tmp_path / 'base.py').write_text(BASE)
        (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\n{text}\n")
        return Config.fromfile(tmp_path / 'child.py')

    return make


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', ''),
        ("train_pipeline = [dict(type='LoadImageFromFile', to_float32=True)]", 'train_pipeline'),
        ('optimizer = dict(lr=0.2)', 'optimizer'),
        ('optim_wrapper = dict(optimizer=dict(lr=0.2))', ''),
        (
            "train_pipeline = [dict(type='LoadImageFromNDArray')]\n"
            'train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))',
            '',
        ),
    ],
)
def test_overridden_variables_are_told(text, told, config):
    sentences = list(describe_unread(config(text)))
    assert len(sentences) == bool(told)
    assert all(f'nothing reads {told} of' in sentence for sentence in sentences)


@pytest.mark.parametrize('name', OLD_SECTIONS)
def test_names_of_the_old_generation_are_told(name, config):
    (sentence,) = describe_unread(config(f'{name} = dict(x=1)'))
    assert sentence.endswith(f'write {OLD_SECTIONS[name]} for {name}')


@pytest.mark.parametrize('name', ['vig_maskrcnn', 'vig_upernet', 'vig_imagenet'])
def test_shipped_configs_are_read_as_a_whole(name):
    assert not list(describe_unread(Config.fromfile(mmvig.get_config(name))))


def test_options_of_variables_name_where_the_value_is_read(config):
    cfg = config('')
    place = 'train_dataloader.dataset.dataset'
    with pytest.raises(UserError, match=f'{place}.pipeline.0.type'):
        check_variable(cfg, 'train_pipeline.0.type')
    with pytest.raises(UserError, match=f'{place}.data_root'):
        check_variable(cfg, 'data_root')
    with pytest.raises(UserError, match=r'train_cfg\.max_epochs$'):
        check_variable(cfg, 'max_epochs')
    check_variable(cfg, 'batch')  # equal to a number elsewhere by chance
    check_variable(cfg, f'{place}.data_root')


def test_an_empty_section_of_a_loop_is_the_usual_loop():
    """As mmpretrain's own configs have it."""
    section = dict(type='x')
    content = dict(model=section, test_dataloader=section, test_evaluator=section)
    check_sections(Config(dict(content, test_cfg=dict())), 'test')
    with pytest.raises(UserError, match='test_cfg'):
        check_sections(Config(content), 'test')
