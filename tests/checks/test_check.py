"""`mmvig.checks.check`, the door for programs of one's own."""

import pytest
from mmengine.config import Config

from mmvig.checks import UserError, check
from mmvig.configs import list_configs
from tests.support import invalid_inputs as made


@pytest.mark.parametrize('name', list_configs())
def test_every_config_passes_without_its_data(name):
    check(Config.fromfile(list_configs()[name]))


@pytest.mark.parametrize('name', ['det', 'seg'])
def test_valid_data_pass(name, input_folder):
    check(Config.fromfile(f'{name}.py'), 'train', 'val', 'test')


@pytest.mark.parametrize(
    ('message', 'changes', 'splits'),
    [
        ("section 'optim_wraper' that nothing reads", {'optim_wraper': dict(clip=1)}, ()),
        ('expected optim_wrapper.optimizer.lr', {'optim_wrapper.optimizer.lr': -1}, ()),
        ("have a section 'model'", {'model': None}, ()),
        ("have a section 'test_evaluator'", {'test_evaluator': None}, ('test',)),
        ('expected a type in val_dataloader', {'val_dataloader.dataset': dict(x=1)}, ('val',)),
        ('expected the classes', {'train_dataloader.dataset.metainfo.classes': ['a']}, ('train',)),
    ],
)
def test_what_is_wrong_is_named(message, changes, splits, input_folder):
    cfg = Config.fromfile('det.py')
    for key, value in changes.items():
        node = cfg
        *path, last = key.split('.')
        for part in path:
            node = node[part]
        node[last] = value
    with pytest.raises(UserError, match=message):
        check(cfg, *splits)


def test_only_the_splits_that_are_named_need_their_files(input_folder):
    made.without(made.TRAIN)(input_folder)
    cfg = Config.fromfile('det.py')
    check(cfg, 'val')
    with pytest.raises(UserError, match='the train data are missing'):
        check(cfg, 'train', 'val')
