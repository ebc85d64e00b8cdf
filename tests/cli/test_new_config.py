"""`new-config`: what it finds in folders, what it writes, and that the configs train."""

import json
import math
import os
import re
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
    coco_content,
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


def break_coco(change):
    """A folder in COCO form, changed by a function of its content and its path."""

    def write(root: Path) -> None:
        found = draw_images(root / 'images')
        content = coco_content(found)
        change(content, root)
        (root / 'all.json').write_text(json.dumps(content))

    return write


def _cut_image(content, root):
    path = root / 'images/003.jpg'
    path.write_bytes(path.read_bytes()[:500])


def _remove_image(content, root):
    (root / 'images/003.jpg').unlink()


def _wrong_size(content, root):
    content['images'][2]['width'] += 7
    for entry in content['annotations']:
        del entry['segmentation']


def _box_outside(content, root):
    content['annotations'][0]['bbox'] = [900, 20, 10, 10]


def _same_ids(content, root):
    content['annotations'][1]['id'] = content['annotations'][0]['id']


def _yolo(lines: str):
    def write(root: Path) -> None:
        write_yolo(root)
        (root / 'labels/train/000.txt').write_text(lines)

    return write


def _voc(text: str):
    def write(root: Path) -> None:
        write_voc(root)
        (root / 'Annotations/000.xml').write_text(text)

    return write


def _png_voc(root: Path) -> None:
    """mmdet's data set reads `.jpg` alone."""
    write_voc(root, lists=False)
    for path in (root / 'JPEGImages').iterdir():
        path.rename(path.with_suffix('.jpeg'))


BROKEN_DETECTION = {
    'cut image': (break_coco(_cut_image), r'003\.jpg.* cannot be read'),
    'no image': (break_coco(_remove_image), r'expected the image .*003\.jpg, there is no'),
    'size': (break_coco(_wrong_size), r'002\.jpg is \d+×\d+, its annotations have'),
    'outside': (break_coco(_box_outside), r'annotation 1: the box .* lies outside its image'),
    'ids': (break_coco(_same_ids), r'the annotation id 1 comes more than once'),
    'yolo pixels': (_yolo('0 50 60 20 20\n'), r'shares of the image, .* line 1 of .*000\.txt'),
    'yolo words': (_yolo('0 0.5 a 0.1 0.1\n'), r'expected a class and four shares.*line 1 of'),
    'yolo class': (_yolo('9 0.5 0.5 0.1 0.1\n'), r'expected classes 0 … 4, as 5 are named'),
    'xml': (_voc('<annotation><object>'), r'expected XML in .*000\.xml'),
    'no box': (_voc('<annotation><object><name>a</name></object></annotation>'), r'xmin.*one of a'),
    'nothing': (lambda root: draw_images(root / 'images'), r'expected a COCO file \(\.json\), VOC'),
    'empty': (lambda root: root.mkdir(), r'it is empty'),
    'absent': (lambda root: None, r'there is none'),
}  # fmt: skip


@pytest.mark.parametrize('case', BROKEN_DETECTION)
def test_broken_folders_are_told(case, cli, tmp_path):
    write, pattern = BROKEN_DETECTION[case]
    write(tmp_path / 'data')
    result = cli.run('new-config', 'det', 'data')
    assert result.status == 2
    assert re.search(pattern, result.out + result.err), result.out + result.err
    assert not list(tmp_path.glob('data_*'))


def test_masks_on_some_objects_alone_are_left_out(cli, tmp_path):
    def change(content, root):
        del content['annotations'][3]['segmentation']
        (root / 'images/link').symlink_to(root)  # a circle, which is walked once

    break_coco(change)(tmp_path / 'data')
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


def _replace_masks(change):
    def write(root: Path) -> None:
        write_masks(root)
        for path in sorted((root / 'masks').iterdir()):
            change(path, np.array(Image.open(path)))

    return write


def _save(values, path):
    Image.fromarray(values).save(path)


BROKEN_MASKS = {
    'colour': (
        lambda path, labels: _save(np.stack([labels] * 3, -1), path),
        r'has RGB pixels, expected one label each \(and 0 more such\)|expected one label each',
    ),
    'binary': (
        lambda path, labels: _save(np.where(labels > 1, 255, 0).astype(np.uint8), path),
        r'the masks have the labels 0, 255: 255 is ignored',
    ),
    'unnamed': (
        lambda path, labels: _save(labels * 3, path),
        r'6 classes are named .* the masks have the label',
    ),
    'size': (lambda path, labels: _save(labels[1:], path), r'the mask .* is .*, its image'),
    'absent': (lambda path, labels: path.unlink() if '003' in path.name else None, r'003_mask.png'),
    '16 bits': (lambda path, labels: _save(labels.astype(np.uint16) * 300, path), r'mmseg reads 0'),
}  # fmt: skip


@pytest.mark.parametrize('case', BROKEN_MASKS)
def test_broken_masks_are_told(case, cli, tmp_path):
    change, pattern = BROKEN_MASKS[case]
    _replace_masks(change)(tmp_path / 'data')
    result = cli.run('new-config', 'seg', 'data')
    assert result.status == 2
    assert re.search(pattern, result.out + result.err), result.out + result.err


REAL = os.environ.get('MMVIG_REAL_DATA', '')


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason='needs MMVIG_REAL_DATA, a folder with nuclei/ and bccd/')
@pytest.mark.parametrize(
    ('name', 'method', 'smallest', 'steps'),
    [('nuclei', 'maskrcnn', 8, 10), ('bccd', 'retinanet', 32, 30)],
)
def test_real_data(name, method, smallest, steps, cli):
    """Anchors fit the objects, and a training on crops of photos begins to learn."""
    out = cli.output('new-config', 'det', Path(REAL, name))
    assert f'anchors of {smallest} to' in out
    cfg = Config.fromfile(f'{name}_{method}.py')
    cfg.train_dataloader.dataset.indices = 4 * steps
    cfg.val_dataloader.dataset.indices = 2
    cfg.train_cfg.max_epochs = 1
    cfg.dump('short.py')
    cli.output('train', 'short.py', '--cfg-options', *IN_ONE_PROCESS)
    found = losses('short')
    assert len(found) == steps
    assert all(map(math.isfinite, found))
    assert np.mean(found[-3:]) < np.mean(found[:3])
