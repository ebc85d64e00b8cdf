"""`new-config` refuses data that a training would stop at or learn wrong."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.own_data import (
    changed_coco,
    draw_images,
    write_masks,
    write_voc,
    write_yolo,
)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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


BROKEN_DETECTION = {
    'cut image': (changed_coco(_cut_image), r'003\.jpg.* cannot be read'),
    'no image': (changed_coco(_remove_image), r'expected the image .*003\.jpg, there is no'),
    'size': (changed_coco(_wrong_size), r'002\.jpg is \d+×\d+, its annotations have'),
    'outside': (changed_coco(_box_outside), r'annotation 1: the box .* lies outside its image'),
    'ids': (changed_coco(_same_ids), r'the annotation id 1 comes more than once'),
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
