"""Images of every kind are read as a viewer shows them; unusual but valid annotations pass."""

import io
import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmvig.checks.coco import Reading, check_coco
from mmvig.checks.errors import UserError
from tests.support.invalid_inputs import (
    CLASSES,
    TRAIN,
    annotation,
    coco,
    exif,
    make_inputs,
    make_runs,
)

TURN = 6  # EXIF: the first row is the right side, so that a viewer turns by 90° clockwise


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    make_inputs(folder)
    return folder


@pytest.fixture(scope='module')
def pictures(inputs) -> dict[str, np.ndarray]:
    """Files of each kind in `kinds/`, and beside them as NAME-plain.png what they show."""
    folder = inputs / 'kinds'
    folder.mkdir()
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (9, 9), 3)
    shown = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    grey = shown[..., 0]
    alpha = np.dstack([shown, rng.integers(0, 256, (48, 64), np.uint8)])
    files = {
        'grey.png': (grey, cv2.merge([grey] * 3)),
        'alpha.png': (alpha, shown),
        'deep.png': (shown.astype(np.uint16) * 257, shown),
        'deep-grey.png': (grey.astype(np.uint16) * 257, cv2.merge([grey] * 3)),
    }
    plain = {}
    for name, (pixels, meant) in files.items():
        cv2.imwrite(str(folder / name), pixels)
        plain[name] = meant
    jpeg = cv2.imencode('.jpg', shown)[1].tobytes()
    block = b'Exif\0\0' + exif(TURN).tobytes().removeprefix(b'Exif\0\0')
    marker = b'\xff\xe1' + (len(block) + 2).to_bytes(2, 'big')
    (folder / 'turned.jpg').write_bytes(jpeg[:2] + marker + block + jpeg[2:])
    unturned = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    plain['turned.jpg'] = np.ascontiguousarray(np.rot90(unturned, -1))
    for name, meant in plain.items():
        cv2.imwrite(str(folder / f'{name.partition(".")[0]}-plain.png'), meant)
    stream = io.BytesIO()
    Image.fromarray(shown[..., ::-1]).convert('CMYK').save(stream, 'JPEG', quality=95)
    (folder / 'inks.jpg').write_bytes(stream.getvalue())
    return plain | {'inks.jpg': shown}


def test_predictions_depend_on_what_an_image_shows(inputs, pictures, cli, monkeypatch):
    monkeypatch.chdir(inputs)
    cli.output('predict', 'seg.py', 'seg.pth', 'kinds', '--out', 'out')
    for name in pictures:
        stem = name.partition('.')[0]
        labels = cv2.imread(f'out/pred/{stem}.png', cv2.IMREAD_UNCHANGED)
        assert labels.shape == pictures[name].shape[:2]
        if name != 'inks.jpg':
            plain = cv2.imread(f'out/pred/{stem}-plain.png', cv2.IMREAD_UNCHANGED)
            assert np.array_equal(labels, plain), name
            assert len(np.unique(plain)) > 1, 'a prediction of one class would show nothing'


@pytest.fixture
def on_kinds(inputs, pictures, tmp_path, monkeypatch):
    """det.py on the images above, with an image without instances and boxes of no size."""
    monkeypatch.chdir(tmp_path)
    content = json.loads((inputs / TRAIN).read_text())
    content['images'], content['annotations'] = [], []
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/images').symlink_to(inputs / 'kinds')
    for i, (name, shown) in enumerate(pictures.items()):
        height, width = shown.shape[:2]
        content['images'].append({'id': i, 'file_name': name, 'width': width, 'height': height})
        content['annotations'].append(
            {
                'id': i, 'image_id': i, 'category_id': 1, 'bbox': [4, 4, 30, 30], 'area': 900,
                'iscrowd': 0, 'segmentation': make_runs(height, width),
            }
        )  # fmt: skip
    content['annotations'][0].update(bbox=[5, 5, 0, 9], area=0)
    content['annotations'][1]['bbox'] = [40, 4, 30, 30]  # partly outside
    for split in ('train', 'val'):
        (tmp_path / f'data/{split}.json').write_text(json.dumps(content))
    (tmp_path / 'det.py').write_text((inputs / 'det.py').read_text())
    return tmp_path


def test_training_data_are_what_an_image_shows(on_kinds, pictures):
    cfg = Config.fromfile('det.py')
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    for sample in dataset:
        name = sample['data_samples'].img_path.rpartition('/')[2]
        error = np.abs(sample['inputs'].numpy().transpose(1, 2, 0).astype(int) - pictures[name])
        # Inks: JPEG of quality 95 and the conversion to CMYK and back, 1.3 levels as measured.
        assert error.mean() <= (2.6 if name == 'inks.jpg' else 0), name


def test_training_takes_unusual_but_valid_annotations(on_kinds, cli):
    options = ['train_dataloader.dataset.filter_cfg=None', 'train_dataloader.batch_size=6']
    out = cli.output('train', 'det.py', '--cfg-options', *options)
    assert 'annotation 0 covers less than a pixel and is left out' in out
    assert (on_kinds / 'work_dirs/det/epoch_1.pth').is_file()


def test_check_passes_coco_itself(coco_photos):
    path = coco_photos / 'annotations/instances_val2017.json'
    categories = [entry['name'] for entry in json.loads(path.read_text())['categories']]
    reading = Reading(categories, with_masks=True, train=True)
    found = check_coco(path, coco_photos / 'val2017', reading)
    assert not found.notes
    assert found.trained


@pytest.mark.parametrize('change', ['crowd', 'compressed', 'line'])
def test_check_passes_every_form_of_a_mask(change, inputs, tmp_path):
    import pycocotools.mask

    rng = np.random.default_rng(0)
    labels = np.asfortranarray(rng.integers(0, 2, (64, 64), np.uint8))
    packed = pycocotools.mask.encode(labels)
    masks = {
        'crowd': make_runs(64, 64),
        'compressed': {'size': [64, 64], 'counts': packed['counts'].decode()},
        'line': [[1, 2, 30, 4]],
    }
    (tmp_path / 'data').mkdir()
    (tmp_path / TRAIN).write_text((inputs / TRAIN).read_text())
    annotation(segmentation=masks[change])(tmp_path)
    found = check_coco(tmp_path / TRAIN, None, Reading(CLASSES, with_masks=True, train=True))
    assert bool(found.notes) == (change == 'line')


def test_check_counts_problems_of_a_kind(inputs, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / TRAIN).write_text((inputs / TRAIN).read_text())
    coco(lambda coco: [entry.update(category_id=9) for entry in coco['annotations'][:3]])(tmp_path)
    with pytest.raises(UserError, match=r'annotation 0 is of category 9.*\(and 2 more such\)'):
        check_coco(tmp_path / TRAIN, None, Reading(CLASSES, with_masks=True, train=True))
