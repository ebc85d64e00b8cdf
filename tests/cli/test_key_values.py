"""KEY=VALUE of the command line: paths as they are written, and spaces inside of words."""

import pytest
from mmengine.config import DictAction

from mmvig.cli.key_values import parse
from tests.support import invalid_inputs as made


@pytest.mark.parametrize(
    ('key', 'text', 'value'),
    [
        ('train_dataloader.dataset.data_root', '2017', '2017'),
        ('data_root', 'data,x/', 'data,x/'),
        ('data_root', 'a b/', 'a b/'),
        ('data_root', '"a b/"', 'a b/'),
        ('work_dir', '1e3', '1e3'),
        ('load_from', 'None', None),
        ('load_from', 'True', 'True'),
        ('x.data_prefix.img', '7', '7'),
        ('x.data_prefix.seg_map_path', ' 7', ' 7'),
        ('x.ann_file', '[1,2]', [1, 2]),
        ('x.name', 'traffic light', 'traffic light'),
        ('x.classes', "['traffic light', 'car']", ['traffic light', 'car']),
        ('x.classes', '(traffic light, car)', ('traffic light', 'car')),
        ('x.classes', 'traffic light, car', ['traffic light', 'car']),
        ('x.y', '[ (1, 2) , [a b, c] ]', [(1, 2), ['a b', 'c']]),
        ('x.y', ' 5 ', 5),
    ],
)
def test_values(key, text, value):
    assert parse(key, text) == value
    assert type(parse(key, text)) is type(value)


@pytest.mark.parametrize(
    'text', ['1', '1.5', 'true', 'None', 'x', '1,2', '[1,2]', '(1,)', '[(a,1),(b,2)]', '"x"', '[]']
)
def test_all_else_is_as_in_mmengine(text):
    assert parse('model.backbone.arch', text) == DictAction._parse_iterable(text)


def test_a_number_names_a_folder(input_folder, cli):
    """It was taken for a number, which ended in a traceback."""
    (input_folder / 'data').rename(input_folder / '2017')
    made.content('data/val.json', (input_folder / '2017/val.json').read_bytes())(input_folder)
    (input_folder / 'data/images').symlink_to(input_folder / '2017/images')
    options = ['train_dataloader.dataset.data_root=2017', 'work_dir=2024']
    cli.output('train', 'det.py', '--cfg-options', *options)
    assert (input_folder / '2024/epoch_1.pth').is_file()
