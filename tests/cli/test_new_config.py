"""`new-config`: what it finds in folders, what it writes, and that the configs train."""

import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmvig.apis.own_data.images import size_of
from mmvig.datasets.shapes import CLASSES
from tests.support.own_data import (
    COUNT,
    box_of,
    changed_coco,
    draw_images,
    write_coco,
    write_masks,
    write_voc,
    write_yolo,
)

WRITERS = {'coco': write_coco, 'voc': write_voc, 'yolo': write_yolo, 'masks': write_masks}
IN_ONE_PROCESS = (
    'train_dataloader.num_workers=0',
    'val_dataloader.num_workers=0',
    'default_hooks.logger.interval=1',
)
QUICK = ('train_dataloader.batch_size=2', 'param_scheduler.0.end=2', *IN_ONE_PROCESS)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory) -> Path:
    """A folder of each format; not to be written to."""
    root = tmp_path_factory.mktemp('drawn') / 'my pictures é'
    for name, write in WRITERS.items():
        write(root / name)
    return root


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dataset(cfg: Config, split: str):
    init_default_scope(cfg.default_scope)
    return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


def losses(work_dir: str) -> list[float]:
    (log,) = Path('work_dirs', work_dir).glob('*/vis_data/scalars.json')
    lines = map(json.loads, log.read_text().splitlines())
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.parametrize('form', ['coco', 'voc', 'yolo'])
def test_objects_are_found_as_drawn(form, drawn, cli, tmp_path):
    out = cli.output('new-config', 'det', drawn / form, '--boxes')
    assert f'python -m mmvig train {form}_retinanet.py' in out
    cfg = Config.fromfile(f'{form}_retinanet.py')
    assert cfg.model.bbox_head.num_classes == len(CLASSES)
    parts = [dataset(cfg, split) for split in ('train', 'val')]
    drawn_images = {name: instances for name, _, instances in draw_images(tmp_path / 'x')}
    drawn_images |= {n: i for n, _, i in draw_images(tmp_path / 'x', 2, 100)}
    names = []
    for part in parts:
        for i in range(len(part)):
            info = part.get_data_info(i)
            names.append(Path(info['img_path']).stem)
            instances = drawn_images[names[-1]]
            assert len(info['instances']) == len(instances)
            for found, (category, mask) in zip(info['instances'], instances, strict=True):
                x, y, w, h = box_of(mask)
                assert np.allclose(found['bbox'], [x, y, x + w, y + h], atol=1e-3)
                assert part.metainfo['classes'][found['bbox_label']] == CLASSES[category]
    assert len(set(names)) == len(names) == (10 if form == 'yolo' else COUNT)
    assert len(parts[1]) == 2


def test_masks_of_coco_lead_to_mask_rcnn(drawn, cli):
    assert 'boxes and masks' in cli.output('new-config', 'det', drawn / 'coco', '--out', 'a/b.py')
    cfg = Config.fromfile('a/b.py')
    heads = cfg.model.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == len(CLASSES)
    assert cfg.val_evaluator.ann_file == cfg.val_dataloader.dataset.ann_file == 'a/b_data/val.json'
    assert cfg.test_dataloader.dataset.metainfo.classes == CLASSES


def test_label_maps(drawn, cli):
    out = cli.output('new-config', 'seg', drawn / 'masks')
    assert '0 (ground)' in out
    assert '255 (ignored)' in out
    cfg = Config.fromfile('masks_upernet.py')
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 6
    train, val = dataset(cfg, 'train'), dataset(cfg, 'val')
    assert (len(train), len(val)) == (COUNT - 2, 2)
    sample = val[0]
    labels = np.asarray(Image.open(val.get_data_info(0)['seg_map_path']))
    assert (sample['data_samples'].gt_sem_seg.data[0].numpy() == labels).all()


def test_zero_may_mean_unlabelled(drawn, cli):
    cli.output('new-config', 'seg', drawn / 'masks', '--zero-unlabelled', '--classes', 'a,b,c,d,e')
    cfg = Config.fromfile('masks_upernet.py')
    assert cfg.model.decode_head.num_classes == 5
    assert dataset(cfg, 'train').reduce_zero_label


@pytest.mark.parametrize(
    ('task', 'form', 'name', 'length'),
    [
        ('det', 'coco', 'coco_maskrcnn', ('train_cfg.max_epochs=4', 'train_cfg.val_interval=4')),
        ('det', 'voc', 'voc_retinanet', ('train_cfg.max_epochs=4', 'train_cfg.val_interval=4')),
        ('seg', 'masks', 'masks_upernet', ('train_cfg.max_iters=6', 'train_cfg.val_interval=6')),
    ],
)
def test_the_config_trains(task, form, name, length, drawn, cli):
    """A few steps on two images, the validation and its metrics."""
    cli.output('new-config', task, drawn / form)
    same = 'train_dataloader.dataset.indices=2'  # whose loss falls from step to step
    out = cli.output('train', f'{name}.py', '--cfg-options', *QUICK, *length, same)
    assert 'eta: ' in out
    found = losses(name)
    assert all(map(math.isfinite, found))
    assert np.mean(found[-2:]) < np.mean(found[:2])


def test_splits_depend_on_the_seed_alone(drawn, cli):
    def names(seed: int) -> list[list[str]]:
        cli.output('new-config', 'det', drawn / 'coco', '--force', '--seed', seed)
        content = [json.loads(Path(f'coco_maskrcnn_data/{s}.json').read_text()) for s in SPLITS]
        return [[entry['file_name'] for entry in each['images']] for each in content]

    SPLITS = ('train', 'val')  # noqa: N806
    first = names(0)
    assert names(0) == first != names(1)
    assert sorted(first[0] + first[1]) == [f'{i:03}.jpg' for i in range(COUNT)]


def test_nothing_is_overwritten_unasked(drawn, cli):
    Path('coco_maskrcnn.py').write_text('mine')
    error = cli.user_error('new-config', 'det', drawn / 'coco')
    assert '--force overwrites it' in error
    assert Path('coco_maskrcnn.py').read_text() == 'mine'
    cli.output('new-config', 'det', drawn / 'coco', '--force')
    assert 'use_data' in Path('coco_maskrcnn.py').read_text()


def _png_voc(root: Path) -> None:
    """mmdet's data set reads `.jpg` alone."""
    write_voc(root, lists=False)
    for path in (root / 'JPEGImages').iterdir():
        path.rename(path.with_suffix('.jpeg'))


def test_masks_on_some_objects_alone_are_left_out(cli, tmp_path):
    def change(content, root):
        del content['annotations'][3]['segmentation']
        (root / 'images/link').symlink_to(root)  # a circle, which is walked once

    changed_coco(change)(tmp_path / 'data')
    assert '1 objects have no mask, so that boxes alone' in cli.output('new-config', 'det', 'data')
    assert Path('data_retinanet.py').is_file()


def test_voc_of_other_images_is_converted(cli, tmp_path):
    _png_voc(tmp_path / 'data')
    cli.output('new-config', 'det', 'data')
    cfg = Config.fromfile('data_retinanet.py')
    assert cfg.train_dataloader.dataset.type == 'CocoDataset'
    assert len(dataset(cfg, 'val')) == 2


def test_polygons_of_yolo_are_masks(cli, tmp_path):
    write_yolo(tmp_path / 'data')
    for path in (tmp_path / 'data/labels').glob('*/*.txt'):
        path.write_text('1 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5\n')
    cli.output('new-config', 'det', 'data')
    content = json.loads(Path('data_maskrcnn_data/train.json').read_text())
    image, entry = content['images'][0], content['annotations'][0]
    area = image['width'] / 2 * image['height'] / 4
    assert entry['area'] == pytest.approx(area)
    assert entry['bbox'][2:] == pytest.approx([image['width'] / 2, image['height'] / 4])


@pytest.mark.parametrize('orientation', range(1, 9))
def test_sizes_are_those_that_are_decoded(orientation, tmp_path):
    image = Image.new('RGB', (30, 20))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / 'a.jpg', exif=exif)
    decoded = cv2.imread(str(tmp_path / 'a.jpg'))
    assert size_of(tmp_path / 'a.jpg') == decoded.shape[1::-1]


def test_kinds_of_images_are_told(cli, tmp_path):
    write_yolo(tmp_path / 'data')
    image = np.zeros((90, 120), np.uint8)
    for i, values in enumerate((image, image.astype(np.uint16), np.stack([image] * 4, -1))):
        Image.fromarray(values).save(tmp_path / f'data/images/train/more_{i}.png')
    out = cli.output('new-config', 'det', 'data')
    assert '10 colour, 1 grey, 1 16 bits and more' in out
    assert '1 with alpha' in out
    assert '3 images without a label file, which count as empty' in out


REAL = os.environ.get('MMVIG_REAL_DATA', '')


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason='needs MMVIG_REAL_DATA, a folder with nuclei/ and bccd/')
@pytest.mark.parametrize(
    ('name', 'method', 'smallest', 'steps'),
    [('nuclei', 'maskrcnn', 16, 10), ('bccd', 'retinanet', 32, 30)],
)
def test_real_data(name, method, smallest, steps, cli):
    """Anchors fit the objects, and a training on crops of photos begins to learn."""
    out = cli.output('new-config', 'det', Path(REAL, name))
    assert f'anchors of {smallest} to' in out
    cfg = Config.fromfile(f'{name}_{method}.py')
    cfg.train_dataloader.dataset.indices = 2 * steps
    cfg.val_dataloader.dataset.indices = 2
    cfg.train_cfg.max_epochs = 1
    cfg.dump('short.py')
    cli.output('train', 'short.py', '--cfg-options', *IN_ONE_PROCESS)
    found = losses('short')
    assert len(found) == steps
    assert all(map(math.isfinite, found))
    assert np.mean(found[-3:]) < np.mean(found[:3])
