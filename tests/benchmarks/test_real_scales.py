"""Trainings at several sizes of images: drawn stand-ins, and rows made by hand."""

import json
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from benchmarks import real_images, real_scales, real_training
from benchmarks.real_images import ROOT
from tests.benchmarks.test_real_images import Training
from tests.support.real_sets import write_sets


@pytest.fixture(scope='module')
def sets(tmp_path_factory) -> str:
    return str(write_sets(tmp_path_factory.mktemp('sets')))


@pytest.mark.parametrize('scale', [1.0, 3.0])
def test_a_crop_shows_as_much_at_each_scale(scale, sets, monkeypatch):
    """213 pixels of the file, times the scale."""
    monkeypatch.setenv('MMVIG_REAL_DATA', sets)
    cfg = Config.fromfile(ROOT / 'configs/real/nuclei_maskrcnn.py')
    real_training.set_scale(cfg, scale)
    init_default_scope('mmdet')
    train, val = (
        DATASETS.build(loader.dataset) for loader in (cfg.train_dataloader, cfg.val_dataloader)
    )
    assert max(max(train[0]['inputs'].shape) for _ in range(8)) == pytest.approx(213 * scale, abs=2)
    for dataset in (val, DATASETS.build(cfg.test_dataloader.dataset)):
        sample = dataset[0]['data_samples']
        assert sample.img_shape == tuple(round(side * scale) for side in sample.ori_shape)


def row(backbone: str, scale: float, **more) -> dict[str, str]:
    values = dict(kind='scales', set='nuclei', backbone=backbone, seed=0, rate=1e-3, iterations=100,
                  scale=scale, iteration=100, cpu_seconds=120, cpu_seconds_of_an_image=0.5,
                  bbox_mAP=0.2, segm_mAP=0.3)  # fmt: skip
    return {name: str(value) for name, value in (values | more).items()}


def test_what_is_done_is_not_planned_again(tmp_path):
    args = real_scales.parse_args(
        ['train', '--backbones', 'vig', 'swin', '--scales', '2', '1', '--rate', '1e-3',
         '--iterations', '100'])  # fmt: skip
    jobs = real_scales.plan(args)
    assert [(job.scale, job.backbone) for job in jobs] == [
        (1.0, 'vig'), (1.0, 'swin'), (2.0, 'vig'), (2.0, 'swin')]  # fmt: skip
    assert len({job.work_dir(tmp_path) for job in jobs}) == 4
    done = [job for job in jobs if job.is_done([row('swin', 2.0), row('vig', 3.0)])]
    assert done == [jobs[3]]
    same_but_own_size = jobs[3]._replace(scale=None)
    assert not same_but_own_size.is_done([row('swin', 2.0)])


def test_table_and_plot(tmp_path):
    rows = [row('swin', 2.0, cpu_seconds=240), row('vig', 1.0), row('vig', 2.0, iteration=50)]
    *_, first, second = real_scales.table(rows).splitlines()
    assert first == '| 1× | vig | 1.20 | 0.50 | 2.0 | 0.200 | 0.300 |'
    assert second == '| 2× | swin | 2.40 | 0.50 | 4.0 | 0.200 | 0.300 |'
    real_scales.draw(rows, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').is_file()


@pytest.mark.slow
def test_a_training_has_its_row(sets, tmp_path, monkeypatch):
    monkeypatch.setenv('MMVIG_REAL_DATA', sets)
    monkeypatch.setattr(real_images, 'start', Training)
    monkeypatch.setattr(sys, 'argv', ['real_scales'])
    rows = tmp_path / 'rows.csv'
    real_scales.main(
        ['train', '--backbones', 'vig', '--scales', '0.5', '--rate', '1e-3',
         '--iterations', '2', '--work', str(tmp_path), '--csv', str(rows)])  # fmt: skip
    (found,) = real_images.read_rows(rows)
    assert (found['scale'], found['iteration']) == ('0.5', '2')
    assert float(found['cpu_seconds_of_an_image']) > 0
    (measured,) = Path(tmp_path).glob('nuclei/vig/*_0.5/measured.json')
    assert json.loads(measured.read_text())['points'][0]['iteration'] == 2
