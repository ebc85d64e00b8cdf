"""`mmvig predict --results`: COCO's results form, and label maps with the labels of masks."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from pycocotools.coco import COCO

from mmvig.apis.coco_results import read_coco_ids
from mmvig.apis.label_maps import LabelMaps
from mmvig.apis.tasks import Prediction

IMAGES = 'data/images'


@pytest.fixture(scope='module')
def found(valid_inputs, tmp_path_factory) -> Path:
    """The results of four images, with and without the ids of an annotation file."""
    from mmvig.__main__ import main

    folder = tmp_path_factory.mktemp('found')
    content = json.loads((valid_inputs / 'data/val.json').read_text())
    for entry in content['images']:
        entry.update(id=100 - entry['id'], file_name=f'images/{entry["file_name"]}')
    for entry in content['annotations']:
        entry['image_id'] = 100 - entry['image_id']
        entry['category_id'] = {1: 70, 2: 3}[entry['category_id']]
    content['categories'] = [{'id': 3, 'name': 'disc'}, {'id': 70, 'name': 'square'}]
    ann_file = folder / 'ann.json'
    ann_file.write_text(json.dumps(content), encoding='utf-8-sig')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(valid_inputs)
        model = ('predict', 'det.py', 'det.pth', IMAGES, '--batch-size', '3')
        main([*model, '--results', str(folder / 'numbered.json'), '--out', str(folder / 'out')])
        main([*model, '--results', str(folder / 'ids.json'), '--ann-file', str(ann_file)])
    return folder


def test_coco_reads_the_results(found, capsys):
    coco = COCO(found / 'numbered.images.json')
    results = coco.loadRes(str(found / 'numbered.json'))
    assert [image['file_name'] for image in coco.loadImgs([1, 2, 3, 4])] == [
        f'{i}.jpg' for i in range(4)
    ]
    assert {(image['height'], image['width']) for image in coco.imgs.values()} == {(64, 64)}
    assert {c['id']: c['name'] for c in coco.cats.values()} == {1: 'square', 2: 'disc'}
    for image_id in range(1, 5):
        written = json.loads((found / f'out/preds/{image_id - 1}.json').read_text())
        detections = results.loadAnns(results.getAnnIds(image_id))
        assert [x['category_id'] - 1 for x in detections] == written['labels']
        assert [x['score'] for x in detections] == written['scores']
        assert [x['segmentation'] for x in detections] == written['masks']
        for detection, (x1, y1, x2, y2) in zip(detections, written['bboxes'], strict=True):
            x, y, width, height = detection['bbox']
            np.testing.assert_allclose([x, y, x + width, y + height], [x1, y1, x2, y2], rtol=1e-6)
            assert results.annToMask(detection).shape == (64, 64)


def test_ids_of_an_annotation_file(found, capsys):
    """Detections are the same ones under the other ids, and the evaluation finds its images."""
    from pycocotools.cocoeval import COCOeval

    numbered = json.loads((found / 'numbered.json').read_text())
    ids = json.loads((found / 'ids.json').read_text())
    assert len(ids) == len(numbered) > 0
    for one, other in zip(numbered, ids, strict=True):
        assert other['image_id'] == 101 - one['image_id']
        assert other['category_id'] == {1: 70, 2: 3}[one['category_id']]
        assert other['bbox'] == one['bbox']
    assert not (found / 'ids.images.json').exists()
    truth = json.loads((found / 'ann.json').read_text(encoding='utf-8-sig'))
    (found / 'plain.json').write_text(json.dumps(truth))
    coco = COCO(found / 'plain.json')
    evaluation = COCOeval(coco, coco.loadRes(str(found / 'ids.json')), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert (evaluation.stats[[0, 8]] >= 0).all(), '-1 means that no image or class was evaluated'


def test_ids_are_found_by_the_end_of_a_path(tmp_path):
    images = [
        {'id': i, 'file_name': name}
        for i, name in enumerate(('a.jpg', 'one/a.jpg', 'two/a.jpg', 'b.jpg'))
    ]
    content = {'images': images, 'categories': [{'id': 9, 'name': 'x'}, {'id': 4, 'name': 'y'}]}
    (tmp_path / 'ann.json').write_text(json.dumps(content))
    paths = [Path(name) for name in ('data/two/a.jpg', 'three/b.jpg', 'data/one/a.jpg')]
    ids = read_coco_ids(tmp_path / 'ann.json', paths, ['y', 'x'])
    assert list(ids.images.values()) == [2, 3, 1]
    assert ids.categories == [4, 9]


def test_label_maps_count_as_the_masks(valid_inputs, cli, tmp_path, monkeypatch):
    """The data set reduces the zero label, so its masks count from 1, and the model from 0."""
    monkeypatch.chdir(valid_inputs)
    places = ('--out', tmp_path / 'out', '--results', tmp_path / 'maps')
    cli.output('predict', 'seg.py', 'seg.pth', IMAGES, *places)
    for i in range(4):
        of_model = cv2.imread(str(tmp_path / f'out/pred/{i}.png'), cv2.IMREAD_UNCHANGED)
        of_masks = cv2.imread(str(tmp_path / f'maps/{i}.png'), cv2.IMREAD_UNCHANGED)
        assert of_masks.dtype == np.uint8
        np.testing.assert_array_equal(of_masks, of_model + 1)


@pytest.mark.parametrize(('reduce', 'classes', 'bits'), [(True, 256, 16), (False, 256, 8)])
def test_many_classes_take_16_bits(reduce, classes, bits, valid_inputs, tmp_path):
    cfg = Config.fromfile(valid_inputs / 'seg.py')
    cfg.test_dataloader.dataset.reduce_zero_label = reduce
    labels_YX = np.full((2, 3), classes - 1, np.uint8)
    path = Path('a.jpg')
    with LabelMaps(tmp_path, {path: 'a'}, cfg, classes) as maps:
        maps.write(Prediction(path, None, labels_YX, (2, 3)))
    written = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert written.dtype.itemsize * 8 == bits
    assert (written == classes - 1 + reduce).all()


def test_nothing_is_drawn_without_out(found, valid_inputs):
    assert {path.name for path in found.iterdir()} == {
        'ann.json', 'ids.json', 'numbered.images.json', 'numbered.json', 'out', 'plain.json'
    }  # fmt: skip


ANN = {
    'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in range(4)],
    'categories': [{'id': 1, 'name': 'square'}, {'id': 2, 'name': 'disc'}],
}


@pytest.mark.parametrize(
    ('message', 'task', 'options', 'ann'),
    [
        ('expected --out DIR, --results PATH or both, got neither', 'det', [], None),
        ('expected --results beside --ann-file', 'det', ['--out', 'out', '--ann-file', 'x'], None),
        ('expected --results to end in .json, got found.pkl', 'det', ['found.pkl'], None),
        ('expected a model of mmdet for --ann-file, got segmentation', 'seg', ['maps'], ANN),
        ('expected an annotation file of COCO with images and categories in ann.json: Value|JSON',
         'det', ['found.json'], 'words'),
        (r"categories in ann.json: KeyError: categories", 'det', ['found.json'], {'images': []}),
        (r'categories in ann.json: TypeError', 'det', ['found.json'], [1]),
        (r'expected every image to be in ann.json, it has no file_name for data/images/3.jpg: ',
         'det', ['found.json'], {**ANN, 'images': ANN['images'][:3]}),
        (r"expected the model's classes among the categories of ann.json, it has no disc; it has "
         'square', 'det', ['found.json'], {**ANN, 'categories': ANN['categories'][:1]}),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(message, task, options, ann, input_folder, cli):
    if len(options) == 1:
        options = ['--results', *options]
    if ann is not None:
        Path('ann.json').write_text(ann if isinstance(ann, str) else json.dumps(ann))
        options = [*options, '--ann-file', 'ann.json']
    before = set(Path().rglob('*'))
    error = cli.user_error('predict', f'{task}.py', f'{task}.pth', IMAGES, *options)
    assert re.search(message, error), error
    assert {path for path in Path().rglob('*') if path.is_file()} <= before


def test_one_entry_for_two_images(input_folder, cli):
    Path('ann.json').write_text(json.dumps(ANN))
    shutil.copytree(IMAGES, 'others')
    options = ('--results', 'found.json', '--ann-file', 'ann.json')
    error = cli.user_error('predict', 'det.py', 'det.pth', IMAGES, 'others', *options)
    assert 'one fits both data/images/0.jpg and others/0.jpg' in error


def test_an_absent_annotation_file(input_folder, cli):
    options = ('--results', 'found.json', '--ann-file', 'absent.json')
    error = cli.user_error('predict', 'det.py', 'det.pth', IMAGES, *options)
    assert 'absent.json' in error
