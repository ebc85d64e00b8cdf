"""What is counted of COCO files, as mmdet trains on it, and what is noted of the rest."""

import json
from collections import Counter

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmvig.checks import UserError, check
from mmvig.checks import data as data_checks
from mmvig.checks.coco import Reading, check_coco
from tests.support import invalid_inputs as made
from tests.support.error_cases_untrained import join, without_annotations
from tests.support.invalid_inputs import CLASSES, TRAIN

MASKS = Reading(CLASSES, with_masks=True, train=True)


@pytest.fixture
def notes(monkeypatch) -> list[str]:
    """What the checks log."""
    said = []
    monkeypatch.setattr(data_checks, 'print_log', lambda note, **_: said.append(note))
    return said


def some(coco: dict) -> None:
    """Each kind of annotation that mmdet leaves out, of the first class, and one more image."""
    coco['images'].append({'id': 9, 'file_name': '0.jpg', 'width': 20, 'height': 64})
    box = {'id': 99, 'image_id': 9, 'category_id': 2, 'bbox': [2, 2, 9, 9], 'area': 81}
    coco['annotations'].append(dict(box, segmentation=[[2, 2, 9, 2, 9, 9]]))
    for entry, values in zip(
        coco['annotations'],
        (
            {'iscrowd': 1},
            {},
            {'ignore': True},
            {},
            {'area': 0},
            {},
            {'segmentation': [[1, 2, 3, 4]]},
        ),
        strict=False,
    ):
        entry.update(values)


def test_only_what_mmdet_trains_on_is_counted(input_folder):
    """The samples that mmdet makes of the file are the truth."""
    made.coco(some)(input_folder)
    found = check_coco(input_folder / TRAIN, None, MASKS._replace(min_size=32))
    kinds = {'crowd': 1, 'ignore': 1, 'no area': 1, 'points': 1, 'small': 1}
    assert found.left_out == kinds
    cfg = Config.fromfile('det.py')
    init_default_scope('mmdet')
    cfg.train_dataloader.dataset.filter_cfg.min_size = 32
    counts = Counter()
    for sample in DATASETS.build(cfg.train_dataloader.dataset):
        counts.update(CLASSES[i] for i in sample['data_samples'].gt_instances.labels.tolist())
    assert found.trained == counts == {'disc': 4}


def test_what_is_left_out_is_noted(input_folder, notes):
    made.coco(some)(input_folder)
    cfg = Config.fromfile('det.py')
    cfg.train_dataloader.dataset.filter_cfg.min_size = 32
    check(cfg, 'train')
    assert notes == [
        'data/train.json: annotation 2 is marked ignore and is left out; annotation 4 has the area '
        '0 and is left out; annotation 6 has only polygons of less than three points and is '
        'ignored; annotation 0 is marked iscrowd: 1 and is not trained on; the image 0.jpg is '
        'smaller than filter_cfg.min_size=32 and is left out',
        'data/train.json: no annotation of square to train on',
    ]


def test_a_class_that_another_file_has_is_not_missed(input_folder, notes):
    """Data sets that are joined are counted together."""
    made.content('data/second.json', (input_folder / TRAIN).read_bytes())(input_folder)
    made.coco(lambda coco: coco.update(annotations=coco['annotations'][1:2]))(input_folder)
    join(input_folder, 'second.json')
    check(Config.fromfile('bad.py'), 'train')
    assert notes == []
    join(input_folder, 'train.json')
    check(Config.fromfile('bad.py'), 'train')
    assert notes == ['data/train.json: no annotation of square to train on']


def test_a_file_without_objects_may_stand_beside_others(input_folder, notes):
    """Images of background, if they are not left out as empty."""
    content = json.loads((input_folder / TRAIN).read_text())
    made.content('data/second.json', json.dumps(content | {'annotations': []}))(input_folder)
    join(input_folder, 'second.json')
    cfg = Config.fromfile('bad.py')
    with pytest.raises(UserError, match=r'second.json.*there are none, so every image would be'):
        check(cfg, 'train')
    cfg.train_dataloader.dataset.datasets[1].filter_cfg = None
    check(cfg, 'train')
    assert notes == []


def test_other_categories_are_noted(input_folder, notes):
    cfg = Config.fromfile('det.py')
    cfg.train_dataloader.dataset.metainfo.classes = ('disc',)
    check(cfg, 'train')
    (note,) = notes
    assert 'annotation 0 is of a category that the config does not name (square)' in note
    assert '(and 3 more such)' in note


@pytest.mark.parametrize('crowds', ['COCO', 'many', 'polygon'])
def test_crowds_are_noted_unless_they_are_as_in_coco(crowds, input_folder):
    """There by run lengths, one in eighty."""

    def change(coco):
        copies = [dict(entry, id=i) for i, entry in enumerate(coco['annotations'] * 10)]
        coco['annotations'] = copies
        runs = made.make_runs(made.SIZE, made.SIZE)
        for entry in copies[: 8 if crowds == 'many' else 1]:
            entry.update(iscrowd=1, **({} if crowds == 'polygon' else {'segmentation': runs}))

    made.coco(change)(input_folder)
    found = check_coco(input_folder / TRAIN, None, MASKS)
    assert bool(found.notes) == (crowds != 'COCO')
    assert found.trained.total() == (72 if crowds == 'many' else 79)


def boxes(form: str, count: int = 200, width: int = 640, height: int = 480) -> dict:
    """A file of random boxes, as x, y, width, height or in another form."""
    rng = np.random.default_rng(0)
    x1, x2 = np.sort(rng.uniform(0, width, (2, count)), 0)
    y1, y2 = np.sort(rng.uniform(0, height, (2, count)), 0)
    y2, x2 = np.maximum(y2, y1 + 2), np.maximum(x2, x1 + 2)
    area = (x2 - x1) * (y2 - y1)
    last = {
        'sizes': (x2 - x1, y2 - y1),
        'corners': (x2, y2),
        'shares': ((x2 - x1) / width, (y2 - y1) / height),
        'padded': (1.05 * (x2 - x1), 1.05 * (y2 - y1)),  # as an augmentation leaves them
        'whole': (width, height),
    }[form]
    if form == 'shares':
        x1, y1 = x1 / width, y1 / height
    if form == 'whole':
        x1 = y1 = np.zeros(count)
    table = np.stack(np.broadcast_arrays(x1, y1, *last), 1)
    image = {'id': 1, 'file_name': 'a.jpg', 'width': width, 'height': height}
    return {
        'images': [image],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES)],
        'annotations': [
            {'id': i + 1, 'image_id': 1, 'category_id': i % 2, 'bbox': box, 'area': float(area[i])}
            for i, box in enumerate(table.tolist())
        ],
    }


@pytest.mark.parametrize(
    ('form', 'message'),
    [
        ('sizes', None),
        ('padded', None),
        ('whole', None),
        ('corners', 'look like two corners'),
        ('shares', 'shares of the image'),
    ],
)
@pytest.mark.parametrize('train', [True, False])
def test_the_form_of_boxes(form, message, train, tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(boxes(form)))
    reading = Reading(CLASSES, train=train)
    if message is None:
        assert check_coco(path, None, reading).trained.total() == 200
    else:
        with pytest.raises(UserError, match=message):
            check_coco(path, None, reading)


def test_corners_near_the_origin_are_known_by_their_areas(tmp_path):
    """As no box reaches over the border, only the areas tell."""
    content = boxes('corners')
    content['images'][0].update(width=2000, height=2000)
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match='look like two corners'):
        check_coco(path, None, Reading(CLASSES))
    for entry in content['annotations']:
        entry['area'] = entry['bbox'][2] * entry['bbox'][3]
    path.write_text(json.dumps(content))
    assert check_coco(path, None, Reading(CLASSES)).trained.total() == 200


def test_images_without_annotations_are_predicted(input_folder, cli):
    """As of a test set whose labels are kept back: COCO's own has no `annotations`."""
    without_annotations(input_folder)
    options = ['test_evaluator.format_only=True', 'test_evaluator.outfile_prefix=found']
    cli.output('test', 'det.py', 'det.pth', '--cfg-options', *options)
    found = json.loads((input_folder / 'found.bbox.json').read_text())
    assert {entry['category_id'] for entry in found} <= {1, 2}


@pytest.mark.parametrize('first', [0, 1])
def test_the_id_0_is_noted_where_it_counts(first, input_folder, notes):
    """pycocotools takes a match with it for none, so that perfect predictions are not perfect."""
    content = json.loads((input_folder / 'data/val.json').read_text())
    for i, entry in enumerate(content['annotations'], first):
        entry['id'] = i
    made.content('data/val.json', json.dumps(content))(input_folder)
    check(Config.fromfile('det.py'), 'val', 'test')
    assert ['has the id 0' in note for note in notes] == ([] if first else [True])
    truth = COCO('data/val.json')
    perfect = [dict(entry, score=0.9) for entry in content['annotations']]
    evaluation = COCOeval(truth, truth.loadRes(perfect), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert (evaluation.stats[0] == 1) == bool(first)


def test_the_id_0_does_not_matter_to_train(input_folder, notes):
    check(Config.fromfile('det.py'), 'train')
    assert notes == []


def test_panoptic_files_are_left_to_their_reader(input_folder, notes):
    """They have segments in the place of boxes."""
    content = json.loads((input_folder / TRAIN).read_text())
    segments = [{'id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'area': 12, 'iscrowd': 0}]
    content['annotations'] = [{'image_id': 0, 'file_name': '0.png', 'segments_info': segments}]
    made.content(TRAIN, json.dumps(content))(input_folder)
    cfg = Config.fromfile('det.py')
    cfg.train_dataloader.dataset.type = 'CocoPanopticDataset'
    check(cfg, 'train')
    assert notes == []


def test_unlabelled_images_may_stand_beside_others(input_folder, notes):
    """As in semi-supervised training, whose second data set reads no annotations."""
    content = json.loads((input_folder / TRAIN).read_text())
    del content['annotations']
    made.content('data/second.json', json.dumps(content))(input_folder)
    join(input_folder, 'second.json')
    cfg = Config.fromfile('bad.py')
    unlabelled = cfg.train_dataloader.dataset.datasets[1]
    unlabelled.filter_cfg = None
    with pytest.raises(UserError, match=r'the lists images, annotations.*second.json'):
        check(cfg, 'train')
    unlabelled.pipeline[1] = dict(type='LoadEmptyAnnotations')
    check(cfg, 'train')
    assert notes == []
