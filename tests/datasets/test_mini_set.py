"""The mini data set."""

import json
import shutil

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmvig.datasets import shapes


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A few images of it, drawn anew."""
    splits = {'train': ('training', 30, 0), 'val': ('validation', 4, 1_000_000)}
    monkeypatch.setattr(shapes, 'SPLITS', splits)
    root = tmp_path / 'data' / 'mini'
    shapes.ensure_mini(root)
    return root


def test_both_layouts_agree(small):
    coco = COCO(str(small / 'annotations/instances_train.json'))
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(shapes.CLASSES)
    used, sizes, hidden = set(), set(), 0
    for info in coco.loadImgs(coco.getImgIds()):
        image = cv2.imread(str(small / 'images/training' / info['file_name']))
        name = info['file_name'].replace('.jpg', '.png')
        labels = cv2.imread(str(small / 'annotations/training' / name), cv2.IMREAD_UNCHANGED)
        assert image.shape == (info['height'], info['width'], 3)
        assert labels.shape == image.shape[:2]
        assert labels.dtype == np.uint8
        sizes.add(labels.shape)
        covered = np.zeros(labels.shape, np.uint8)
        for ann in coco.loadAnns(coco.getAnnIds(imgIds=info['id'])):
            mask = coco.annToMask(ann)
            used.add(ann['category_id'])
            assert (labels[mask > 0] == ann['category_id'] + 1).all()
            assert mask.sum() == ann['area']
            assert list(cv2.boundingRect(mask)) == ann['bbox']
            hidden += ann['area'] < 0.95 * cv2.contourArea(
                cv2.convexHull(cv2.findNonZero(mask))
            ) and ann['category_id'] in (1, 2, 3)  # convex shapes that are partly covered
            covered += mask
        assert covered.max() <= 1, 'visible masks do not overlap'
        assert set(np.unique(labels)) <= set(range(1, len(shapes.CLASSES) + 2))
    assert used == {1, 2, 3, 4, 5}
    assert len(sizes) >= 10
    assert hidden > 3


def test_the_same_set_is_drawn_every_time():
    first, second, other = shapes.draw(7), shapes.draw(7), shapes.draw(8)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_run_lengths_start_with_zeros():
    mask = np.array([[1, 0], [1, 1]], np.uint8)
    assert shapes.run_lengths(mask) == [0, 2, 1, 1]
    assert shapes.run_lengths(1 - mask) == [2, 1, 1]


def test_an_existing_set_is_kept_and_a_failed_drawing_leaves_nothing(small, monkeypatch, tmp_path):
    marker = small / 'annotations' / 'instances_val.json'
    marker.write_text(json.dumps('mine'))
    shapes.ensure_mini(small)
    assert marker.read_text() == '"mine"'

    def fail(*args):
        raise OSError('no space left on device')

    monkeypatch.setattr(shapes.mmcv, 'imwrite', fail)
    fresh = tmp_path / 'fresh' / 'mini'
    with pytest.raises(OSError, match='could not draw the mini data set into .*no space left'):
        shapes.ensure_mini(fresh)
    assert list(fresh.parent.iterdir()) == []


def test_a_part_of_a_set_is_named(small):
    shutil.rmtree(small / 'crops')
    with pytest.raises(FileExistsError, match='got only images, annotations; delete the folder'):
        shapes.ensure_mini(small)


def test_crops_show_their_class(small):
    coco = COCO(str(small / 'annotations/instances_train.json'))
    files = {
        name: len(list((small / 'crops/training' / name).iterdir())) for name in shapes.CLASSES
    }
    counted = {
        c['name']: len(coco.getAnnIds(catIds=c['id'])) for c in coco.loadCats([1, 2, 3, 4, 5])
    }
    assert files == counted
    ann = coco.loadAnns(1)[0]
    info = coco.loadImgs(ann['image_id'])[0]
    name = shapes.CLASSES[ann['category_id'] - 1]
    crop = cv2.imread(str(small / f'crops/training/{name}/train_{info["id"]:04d}_0000.jpg'))
    _, _, width, height = ann['bbox']
    assert height <= crop.shape[0] <= height + 2 * shapes.CROP_MARGIN
    assert width <= crop.shape[1] <= width + 2 * shapes.CROP_MARGIN
