"""Classes that occur in no label, of masks, images and boxes of each library."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS, init_default_scope

from mmvig.checks import UserError, occurrence
from mmvig.checks.occurrence import check_occurrence
from mmvig.engine.loaded_data import inner_datasets
from tests.support import invalid_inputs as made
from tests.support.classification_inputs import folders, labels

GROUND = ('ground', 'square', 'disc')


def built(name: str, **changes):
    """The training data of a config."""
    cfg = Config.fromfile(f'{name}.py')
    init_default_scope(cfg.default_scope)
    dataset = cfg.train_dataloader.dataset
    dataset.update(changes)
    for step in dataset.pipeline:
        if 'reduce_zero_label' in step:
            step.reduce_zero_label = dataset.reduce_zero_label
    return DATASETS.build(dataset)


def test_nothing_is_noted_of_valid_data(input_folder):
    assert check_occurrence([built('seg')], 'place') is None


@pytest.mark.parametrize(
    ('reduce', 'files', 'absent', 'hint'),
    [
        (False, {1: 0, 2: 255, 3: 1}, 'disc', 'classes count from 0, and 255 is ignored'),
        (False, {1: 0, 2: 255, 3: 255}, 'square, disc', 'have 0, 255: classes count from 0'),
        (True, {1: 1, 2: 0, 3: 2}, 'disc', 'reduce_zero_label=True ignores 0 and takes 1 for the'),
        (True, {1: 0, 2: 1, 3: 1}, 'square, disc', 'have 0, 1: reduce_zero_label=True ignores 0'),
        (False, {1: 1, 2: 1, 3: 2}, 'ground', 'the files have 1, 2: classes count from 0'),
    ],
)
def test_classes_that_no_mask_has(reduce, files, absent, hint, input_folder):
    made.mask(np.vectorize(files.get, otypes=[np.uint8]))(input_folder)
    note = check_occurrence([built('seg', reduce_zero_label=reduce)], 'place')
    assert note.startswith(f'place: no label of {absent} in the 4 masks; the files have')
    assert hint in note


def test_a_training_on_masks_without_a_class_says_so_once(input_folder, cli):
    """Though the same masks serve to validate."""
    made.mask(lambda labels: np.minimum(labels, 2))(input_folder)
    out = cli.output('train', 'seg.py', '--cfg-options', 'train_cfg.val_interval=2')
    assert out.count('no label of disc in the 4 masks; the files have 1, 2') == 1


def test_an_ignored_label_of_ones_own_is_no_class(input_folder):
    made.mask(lambda labels: np.where(labels == 1, 9, labels - 2).astype(np.uint8))(input_folder)
    dataset = built('seg', reduce_zero_label=False)
    note = check_occurrence([dataset], 'place', ignored=(9,))
    assert 'no label of disc' in note
    assert 'and 9 is ignored' in note
    with pytest.raises(UserError, match=r'labels 0 … 2 \(and 255, ignored\).*has 9'):
        check_occurrence([dataset], 'place')


def test_only_ignored_labels_are_refused_unless_other_data_have_some(input_folder):
    valid = built('seg')
    empty = input_folder / 'data/empty'
    empty.mkdir()
    for i in range(4):
        cv2.imwrite(str(empty / f'{i}.png'), np.zeros((made.SIZE, made.SIZE), np.uint8))
    prefix = dict(img_path='images', seg_map_path='empty')
    ignored = built('seg', data_prefix=prefix)
    with pytest.raises(UserError, match='none of the 4 masks has any: all are ignored'):
        check_occurrence([ignored], 'place')
    assert check_occurrence(list(inner_datasets(ConcatDataset([ignored, valid]))), 'place') is None
    with pytest.raises(UserError, match='none of the 4 masks has any: all are ignored'):
        check_occurrence(list(inner_datasets(RepeatDataset(ignored, 2))), 'place')


def test_a_large_set_is_looked_at_in_part(input_folder, monkeypatch):
    """And what was looked at is said; classes of a long list may be too rare for a part."""
    made.mask(lambda labels: np.minimum(labels, 2))(input_folder)
    monkeypatch.setattr(occurrence, 'MASKS', 2)
    note = check_occurrence([built('seg')], 'place')
    assert 'no label of disc in the 2 masks looked at of 4' in note
    many = dict(classes=[*GROUND, *'abcdefghijklmnopqrstuvwxyz'], palette=[[0, 0, 0]] * 29)
    assert 'no label of disc' in check_occurrence([built('seg', metainfo=many)], 'place')
    monkeypatch.setattr(occurrence, 'MANY_CLASSES', 2)
    assert check_occurrence([built('seg')], 'place') is None


def test_a_mask_that_cannot_be_read_is_left_to_its_sample(input_folder):
    made.cut('data/masks/0.png')(input_folder)
    assert check_occurrence([built('seg')], 'place') is None


def test_no_masks_are_asked_for_where_none_is_read(input_folder, cli):
    """A test set whose masks are kept back."""
    for i in range(4):
        made.without(f'data/masks/{i}.png')(input_folder)
    cfg = Config.fromfile('seg.py')
    cfg.test_dataloader.dataset.pipeline = [
        step for step in cfg.test_dataloader.dataset.pipeline if step.type != 'LoadAnnotations'
    ]
    cfg.test_dataloader.dataset.data_prefix.seg_map_path = 'absent'  # as a base config may say
    cfg.test_evaluator.update(format_only=True, output_dir='found')
    cfg.dump('test.py')
    cli.output('test', 'test.py', 'seg.pth')
    assert len(list((input_folder / 'found').glob('*.png'))) == 4


@pytest.mark.parametrize('lines', [('0.jpg 1', '1.jpg 1'), ('0.jpg 0', '1.jpg 0', '2.jpg 0')])
def test_classes_that_no_image_has(lines, input_folder):
    labels(*lines)(input_folder)
    note = check_occurrence([built('cls')], 'place')
    absent = 'square' if lines[0].endswith('1') else 'disc'
    assert note == f'place: no label of {absent} in the {len(lines)} images'


@pytest.mark.parametrize('layout', ['list', 'folders', 'json'])
def test_labels_of_every_layout_of_mmpretrain(layout, input_folder):
    """The third class has no image in any."""
    labels('0.jpg 0', '1.jpg 1')(input_folder)
    classes = dict(classes=('square', 'disc', 'star'))
    if layout == 'list':
        dataset = built('cls', metainfo=classes)
    elif layout == 'folders':
        for i, name in enumerate(classes['classes']):
            (input_folder / 'data/kinds' / name).mkdir(parents=True)
            if i < 2:
                picture = (input_folder / f'data/images/{i}.jpg').read_bytes()
                made.content(f'data/kinds/{name}/a.jpg', picture)(input_folder)
        dataset = built('cls', ann_file='', data_prefix='kinds', metainfo=classes)
    else:
        entries = [{'img_path': f'{i}.jpg', 'gt_label': [i]} for i in range(2)]
        content = {'metainfo': {}, 'data_list': entries}
        made.content('data/set.json', str(content).replace("'", '"'))(input_folder)
        dataset = built('cls', type='MultiLabelDataset', ann_file='set.json', metainfo=classes)
    assert check_occurrence([dataset], 'place') == 'place: no label of star in the 2 images'


def test_folders_in_order_are_taken(input_folder, cli):
    folders(('disc', 'square'), ('disc', 'square'))(input_folder)
    out = cli.output('train', 'cls.py')
    assert 'no label of' not in out
    assert (input_folder / 'work_dirs/cls/epoch_1.pth').is_file()


def test_a_label_of_no_class_is_named_with_its_image(input_folder):
    labels('0.jpg 0', '1.jpg 1')(input_folder)
    dataset = built('cls', metainfo=dict(classes=('square',)))
    with pytest.raises(UserError, match=r'labels 0 … 0 for 1 classes, .*1.jpg has 1'):
        check_occurrence([dataset], 'place')


def voc(folder, *names: str) -> None:
    """An image with one box of each name, in the layout of VOC."""
    boxes = ''.join(
        f'<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>5</xmin><ymin>5</ymin>'
        '<xmax>40</xmax><ymax>40</ymax></bndbox></object>'
        for name in names
    )
    size = f'<size><width>{made.SIZE}</width><height>{made.SIZE}</height></size>'
    made.content('data/Annotations/0.xml', f'<annotation>{size}{boxes}</annotation>')(folder)
    made.content('data/list.txt', '0\n')(folder)


@pytest.mark.parametrize('names', [('square', 'disc'), ('disc',), ()])
def test_boxes_of_other_formats(names, input_folder):
    voc(input_folder, *names)
    dataset = built(
        'det', type='XMLDataset', ann_file='list.txt', img_subdir='images', filter_cfg=None,
        data_prefix=dict(sub_data_root='.'),
    )  # fmt: skip
    if not names:
        with pytest.raises(UserError, match='none of the 1 images has any'):
            check_occurrence([dataset], 'place')
        return
    note = check_occurrence([dataset], 'place')
    assert note == (None if len(names) == 2 else 'place: no label of square in the 1 images')


def test_the_mini_sets_have_every_class(workspace):
    for kind in ('det/vig_maskrcnn_mini', 'seg/vig_upernet_mini', 'cls/vig_classifier_mini'):
        cfg = Config.fromfile(made.ROOT / f'configs/{kind}.py')
        init_default_scope(cfg.default_scope)
        settings = dict(cfg.train_dataloader.dataset, data_root=str(workspace / 'data/mini'))
        assert check_occurrence([DATASETS.build(settings)], 'place') is None
