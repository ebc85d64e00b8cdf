"""`use_data`: data in an inherited config, whatever its heads; and the settings for its sizes."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvig.apis.own_data import use_data
from mmvig.apis.own_data.choices import Sizes, choose, choose_side
from mmvig.configs import config_root
from mmvig.engine.build import build_model

CLASSES = ('a', 'b', 'c')
TEXT = """_base_ = {base!r}
from mmvig.apis.own_data import use_data

use_data(_base_, data_root='data/é x/', classes={classes}{more})
"""


def inherit(folder: Path, base: str, more: str = '', classes=CLASSES) -> Config:
    path = folder / 'mine.py'
    base = str(config_root() / f'{base}.py')
    path.write_text(TEXT.format(base=base, classes=classes, more=more), encoding='utf-8')
    return Config.fromfile(path)


def class_counts(node) -> list[int]:
    """All `num_classes` of a model's config."""
    items = node.values() if hasattr(node, 'values') else node
    found = [node['num_classes']] if 'num_classes' in node else []
    for inner in items if isinstance(node, list | tuple) or hasattr(node, 'values') else ():
        if isinstance(inner, list | tuple | dict):
            found += class_counts(inner)
    return found


@pytest.mark.parametrize(
    ('base', 'heads'),
    [
        ('det/vig-n_maskrcnn_small-data', 2),
        ('det/vig-n_retinanet_small-data', 1),
        ('det/vig_cascade-maskrcnn', 4),
        ('seg/vig-n_upernet_small-data', 2),
        ('seg/vig_upernet', 2),
    ],
)
def test_classes_and_root_reach_every_place(base, heads, tmp_path):
    cfg = inherit(tmp_path, base)
    assert class_counts(cfg.model) == [3] * heads
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.metainfo.classes == CLASSES
        assert dataset.data_root == 'data/é x/'
    if 'ann_file' in cfg.val_evaluator:
        expected = 'data/é x/' + cfg.val_dataloader.dataset.ann_file
        assert cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == expected
    assert 'use_data' not in cfg


def test_a_dumped_config_needs_nothing_of_the_kind(tmp_path):
    cfg = inherit(tmp_path, 'det/vig-n_maskrcnn_small-data', ', scale_factor=2.0, epochs=20')
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()
    build_model(cfg)


def views(cfg: Config) -> list[list]:
    """The steps of each size that images to train on are shown in."""
    pipeline = cfg.train_dataloader.dataset.pipeline
    return next(step for step in pipeline if step.type == 'RandomChoice').transforms


def test_sizes_of_images_keep_their_proportions(tmp_path):
    base = 'det/vig-n_maskrcnn_small-data'
    plain, twice, side = (
        [next(step for step in steps if step.type == 'Resize') for steps in views(cfg)]
        for cfg in (
            inherit(tmp_path, base, more)
            for more in ('', ', scale_factor=2.0', ', longest_side=600')
        )
    )
    assert [s.scale_factor for s in twice] == [2 * s.scale_factor for s in plain]
    assert [s.scale for s in side] == [(math.ceil(600 * s.scale_factor),) * 2 for s in plain]
    assert all(s.keep_ratio and 'scale_factor' not in s for s in side)


@pytest.mark.parametrize(
    ('more', 'expected'),
    [('', 320), (', scale_factor=2.0', 320), (', scale_factor=1.5, crop_size=256', 256)],
)
def test_crops_before_a_resize_have_their_side_after_it(more, expected, tmp_path):
    for crop, resize in views(inherit(tmp_path, 'det/vig-n_maskrcnn_small-data', more)):
        assert (crop.type, resize.type) == ('RandomCrop', 'Resize')
        for side in crop.crop_size:
            assert side * resize.scale_factor == pytest.approx(expected, abs=resize.scale_factor)


def test_images_are_resized_to_a_side_before_they_are_cropped(tmp_path):
    more = ', longest_side=600, crop_size=256'
    for resize, crop in views(inherit(tmp_path, 'det/vig-n_retinanet_small-data', more)):
        assert (crop.type, resize.type) == ('RandomCrop', 'Resize')
        assert crop.crop_size == (256, 256)


def test_crops_are_those_of_the_batches(tmp_path):
    cfg = inherit(tmp_path, 'seg/vig-n_upernet_small-data', ', crop_size=96')
    (crop,) = (s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomCrop')
    assert crop.crop_size == cfg.model.data_preprocessor.size == (96, 96)


@pytest.mark.parametrize('base', ['det/vig-n_maskrcnn_small-data', 'det/vig_maskrcnn'])
def test_the_schedule_follows_the_length(base, tmp_path):
    before, after = (inherit(tmp_path, base, more) for more in ('', ', epochs=48'))
    ratio = 48 / before.train_cfg.max_epochs
    assert after.train_cfg.max_epochs == after.param_scheduler[1].end == 48
    assert after.train_cfg.val_interval == before.train_cfg.val_interval * ratio
    assert after.param_scheduler[0] == before.param_scheduler[0]
    if milestones := before.param_scheduler[1].get('milestones'):
        assert after.param_scheduler[1].milestones == [ratio * each for each in milestones]


@pytest.mark.parametrize(
    ('base', 'more', 'classes', 'message'),
    [
        ('det/vig_maskrcnn_mini', '', 'a', 'one name alone'),
        ('det/vig_maskrcnn_mini', '', ('a', 'a'), 'each once'),
        ('det/vig_maskrcnn_mini', '', (), 'tuple of names'),
        ('seg/vig_upernet', ', epochs=3', CLASSES, 'max_epochs'),
        ('seg/vig_upernet', ', scale_factor=2', CLASSES, 'resizes by scale_factor'),
    ],
)
def test_what_does_not_fit_is_told(base, more, classes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        inherit(tmp_path, base, more, repr(classes))


def test_it_needs_a_base_config():
    with pytest.raises(ValueError, match='expected _base_'):
        use_data({}, classes=CLASSES)


@pytest.mark.parametrize(
    ('sizes', 'factor', 'side', 'crop', 'proposal_scales', 'base_scale'),
    [
        (Sizes(320, 9, 20, 50, 300), 1.5, None, None, [4], 2),  # cells, enlarged
        (Sizes(640, 81, 102, 164, 30), 1, None, None, None, None),  # photos of blood
        (Sizes(400, 6, 10, 30, 50), 2, None, None, [2], 1),  # specks, twice
        (Sizes(4000, 200, 400, 1500, 20), 1, 640, 512, None, None),  # photos of a camera
        (Sizes(4000, 40, 90, 300, 20), 1, 1792, None, [4], 2),  # small in large ones
        (Sizes(640, 10, 100, 400, 20), 1, None, 512, [2, 8], 1),  # of all sizes
    ],
)
def test_sizes_and_anchors_follow_the_objects(
    sizes, factor, side, crop, proposal_scales, base_scale
):
    masks, boxes = (choose(sizes, 100, each) for each in (True, False))
    for found in (masks, boxes):
        assert found.scale_factor.value == factor
        assert found.longest_side.value == side
        assert found.crop_size.value == crop
    assert masks.anchors.value == proposal_scales
    assert boxes.anchors.value == base_scale


def test_anchors_overlap_small_objects():
    """By half or more: centred squares overlap by the square of the ratio of their sides."""
    for small in range(7, 200):
        found = choose(Sizes(640, small, 2 * small, 3 * small, 9), 100, masks=True)
        side = small * found.scale_factor.value
        anchors = [4 * 2**i * scale for scale in found.anchors.value or [8] for i in range(5)]
        assert max(min(each / side, side / each) ** 2 for each in anchors) >= 0.5


@pytest.mark.parametrize(
    ('images', 'epochs', 'interval'), [(4, 100, 1), (40, 100, 4), (534, 8, 10), (9000, 8, 10)]
)
def test_small_sets_take_more_epochs_and_log_more_often(images, epochs, interval):
    found = choose(Sizes(320, 9, 20, 50, 300), images, masks=True)
    assert (found.epochs.value, found.log_interval) == (epochs, interval)


def test_photos_of_a_camera_are_made_smaller_unless_objects_vanish():
    assert choose_side(640) is None
    assert choose_side(4000, 200) == 640
    assert choose_side(4000, 30) is None
