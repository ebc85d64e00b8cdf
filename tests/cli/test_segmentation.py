"""Segmentation: batches of different sizes, the mini set in ADE20K layout, training, TTA."""

import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmseg.structures import SegDataSample

from tests.support.commands import logged

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / 'configs/seg/vig_upernet_mini.py'


@pytest.fixture(scope='module')
def preprocessor():
    init_default_scope('mmseg')
    cfg = Config.fromfile(MINI)
    return MODELS.build(cfg.model.data_preprocessor)


def test_images_of_different_sizes_are_padded_after_normalisation(preprocessor):
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((40, 70), (50, 60))]
    data = preprocessor(dict(inputs=images, data_samples=[SegDataSample() for _ in images]))
    assert data['inputs'].shape == (2, 3, 50, 70)
    for image, sample, found in zip(images, data['data_samples'], data['inputs'], strict=True):
        height, width = image.shape[1:]
        (alone,) = preprocessor(dict(inputs=[image], data_samples=[SegDataSample()]))['inputs']
        assert torch.equal(found[:, :height, :width], alone)
        assert not found[:, height:].any()
        assert not found[:, :, width:].any()
        left, right, top, bottom = sample.img_padding_size
        assert (left, right, top, bottom) == (0, 70 - width, 0, 50 - height)
        assert tuple(sample.pad_shape) == (50, 70)


def test_equal_sizes_match_the_preprocessor_of_mmseg(preprocessor):
    from mmseg.models import SegDataPreProcessor

    host = dict(Config.fromfile(MINI).model.data_preprocessor)
    host.pop('type')
    images = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8) for _ in range(2)]
    batch = dict(inputs=images, data_samples=[SegDataSample(), SegDataSample()])
    expected = SegDataPreProcessor(**host)(batch)['inputs']
    assert torch.equal(preprocessor(batch)['inputs'], expected)


def test_mini_labels_have_ground_as_class_zero(workspace):
    cfg = Config.fromfile(MINI)
    init_default_scope('mmseg')
    dataset = DATASETS.build(
        dict(cfg.val_dataloader.dataset, data_root=str(workspace / 'data/mini'))
    )
    assert len(dataset) == 60
    assert dataset.metainfo['classes'][0] == 'ground'
    assert len(dataset.metainfo['palette']) == len(dataset.metainfo['classes']) == 6
    found = set()
    for i in range(20):
        sample = dataset[i]
        labels = sample['data_samples'].gt_sem_seg.data
        assert labels.shape[1:] == sample['inputs'].shape[1:]
        found |= set(labels.unique().tolist())
    assert found == set(range(6)), 'the ground and five shapes, nothing ignored'


def test_training_on_photos_learns_resumes_and_is_tested_with_tta(
    ade_photos, tmp_path, cli, monkeypatch
):
    """The real pipeline at a quarter of its size, 128×128, with the smallest backbone."""
    monkeypatch.chdir(tmp_path)
    options = [
        'model.backbone.arch=nano',
        'model.backbone.init_cfg=None',
        'model.decode_head.in_channels=[32,64,128,256]',
        'model.decode_head.channels=32',
        'model.auxiliary_head.in_channels=128',
        'model.auxiliary_head.channels=32',
        'model.data_preprocessor.size=(128,128)',
        'train_dataloader.dataset.pipeline.2.scale=(512,128)',
        'train_dataloader.dataset.pipeline.3.crop_size=(128,128)',
        'val_dataloader.dataset.pipeline.1.scale=(512,128)',
        'param_scheduler.0.end=2',
        'optim_wrapper.optimizer.lr=2e-3',
        'train_dataloader.batch_size=2',
        'train_dataloader.dataset.indices=1',
        'val_dataloader.dataset.indices=1',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=4',
        'log_processor.window_size=1',
        'randomness.seed=0',
    ]
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        options += [
            f'{loader}.num_workers=0',
            f'{loader}.persistent_workers=False',
            f'{loader}.dataset.data_root={ade_photos}',
            f'{loader}.dataset.data_prefix.img_path=images/validation',
            f'{loader}.dataset.data_prefix.seg_map_path=annotations/validation',
        ]
    config = ROOT / 'configs/seg/vig_upernet.py'
    for iters, resume in ((4, []), (8, ['--resume'])):
        cli.output(
            'train', config, '--work-dir', 'run', *resume, '--cfg-options', *options,
            f'train_cfg.max_iters={iters}', 'train_cfg.val_interval=8',
        )  # fmt: skip
    found = logged(tmp_path / 'run')
    assert len(found) == 8, 'the second run went on from the first'
    assert all(math.isfinite(loss) for loss in found)
    # The loss follows what a random crop shows; the share of right pixels does not.
    right = logged(tmp_path / 'run', 'decode.acc_seg')
    assert min(right[-3:]) > max(right[:2]) + 20

    (augment,) = (step for step in Config.fromfile(config).tta_pipeline if 'transforms' in step)
    assert [len(choices) for choices in augment.transforms] == [6, 2, 1, 1]
    augment.transforms[0] = [dict(type='Resize', scale=(512, 128), keep_ratio=True)]
    small = tmp_path / 'small.py'  # as the config's own, at one size
    pipeline = [dict(type='LoadImageFromFile'), augment.to_dict()]
    small.write_text(f'_base_ = {str(config)!r}\ntta_pipeline = {pipeline}\n')
    few = [option for option in options if option.startswith(('model', 'test'))]
    cli.output(
        'test', small, 'run/iter_8.pth', '--tta', '--work-dir', 'tested', '--cfg-options', *few,
        'test_dataloader.dataset.indices=2',
    )  # fmt: skip
    (metrics,) = (tmp_path / 'tested').glob('*/*.json')
    assert 0 <= json.loads(metrics.read_text())['mIoU'] <= 100
