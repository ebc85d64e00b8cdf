"""The command-line tools, run as a user runs them, from a folder that is not the project's."""

import json
import re
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config

import mmvig.cli.train
from mmvig.engine.distributed import without_sync_bn
from tests.support.cli import run_in
from tests.support.commands import call, logged
from tests.support.hostile_checkpoints import call_mkdir

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / 'configs/det/vig_maskrcnn_mini.py'
FSDP = ROOT / 'configs/_base_/fsdp.py'
TRAINED = 'trained/epoch_1.pth'
PREDICT = ('predict', MINI, TRAINED, 'a.jpg', '--out', 'out')
# For the Mask R-CNN of COCO.
NANO_WITH_LIGHT_HEADS = (
    'model.backbone.arch=nano',
    'model.backbone.init_cfg=None',
    'model.neck.in_channels=[32,64,128,256]',
    'model.neck.out_channels=64',
    'model.rpn_head.in_channels=64',
    'model.rpn_head.feat_channels=64',
    'model.roi_head.bbox_roi_extractor.out_channels=64',
    'model.roi_head.bbox_head.in_channels=64',
    'model.roi_head.bbox_head.fc_out_channels=256',
    'model.roi_head.mask_roi_extractor.out_channels=64',
    'model.roi_head.mask_head.in_channels=64',
    'model.roi_head.mask_head.conv_out_channels=64',
    'model.roi_head.mask_head.num_convs=2',
)
FEW = (
    'train_cfg.max_epochs=1',
    'train_dataloader.batch_size=2',
    'train_dataloader.dataset.indices=4',
    'val_dataloader.dataset.indices=2',
)


@pytest.fixture(scope='session')
def trained(workspace) -> Path:
    """The checkpoint of a training of two iterations."""
    run_in(workspace, 'train', MINI, '--work-dir', 'trained', '--cfg-options', *FEW)
    return workspace / 'trained/epoch_1.pth'


def test_testing_writes_metrics_predictions_and_pictures(trained, workspace):
    run_in(
        workspace, 'test', MINI, trained,
        '--work-dir', 'tested', '--out', 'found.pkl', '--show-dir', 'shown',
        '--cfg-options', 'test_dataloader.dataset.indices=3', 'model.test_cfg.rcnn.score_thr=0.0',
    )  # fmt: skip
    (metrics,) = (workspace / 'tested').glob('*/*.json')
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= set(json.loads(metrics.read_text()))
    assert len(list((workspace / 'shown').glob('*.jpg'))) == 3
    assert cv2.imread(str(workspace / 'shown/sheet.png')).shape[1] == 3 * 512
    assert (workspace / 'found.pkl').stat().st_size > 0


def test_training_on_photos_learns_and_resumes(coco_photos, tmp_path, cli, monkeypatch):
    """The real pipeline at a third of its size on photos of many sizes, the smallest model."""
    monkeypatch.chdir(tmp_path)
    options = [
        *NANO_WITH_LIGHT_HEADS,
        *(
            f'{split}_dataloader.dataset.pipeline.{at}.scale=(444,267)'
            for split, at in (('train', 2), ('val', 1))
        ),
        'train_dataloader.batch_size=1',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        f'train_dataloader.dataset.data_root={coco_photos}/',
        'train_dataloader.dataset.indices=4',
        f'val_dataloader.dataset.data_root={coco_photos}/',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
        'val_dataloader.dataset.indices=1',
        f'val_evaluator.ann_file={coco_photos}/annotations/instances_val2017.json',
        'train_cfg.val_interval=100',
        'param_scheduler.0.end=2',
        'optim_wrapper.optimizer.lr=3e-4',
        'default_hooks.logger.interval=1',
        'log_processor.window_size=1',
        'randomness.seed=0',
    ]
    config = ROOT / 'configs/det/vig_maskrcnn.py'
    for epochs, resume in ((1, []), (2, ['--resume'])):
        cli.output(
            'train', config, '--work-dir', 'run', *resume, '--cfg-options', *options,
            f'train_cfg.max_epochs={epochs}',
        )  # fmt: skip
        assert (tmp_path / f'run/epoch_{epochs}.pth').is_file()
    losses = logged(tmp_path / 'run')
    assert len(losses) == 8, 'the second run went on from the first'
    assert all(loss == loss and loss < 100 for loss in losses)
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_two_processes_end_with_equal_weights(workspace):
    config = workspace / 'two.py'
    config.write_text(
        f'_base_ = {str(MINI)!r}\n'
        "custom_imports = dict(imports=['tests.support.fault_hooks'])\n"
        "custom_hooks = [dict(type='DumpWeights')]\n"
    )
    call(
        ROOT / 'tools/dist_train.sh', config, 2, '--work-dir', 'two', '--cfg-options', *FEW,
        'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
        cwd=workspace, PYTHONPATH=str(ROOT), PORT='29511', OMP_NUM_THREADS='1',
    )  # fmt: skip
    first, second = (torch.load(workspace / f'two/rank{i}.pth', weights_only=True) for i in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    call(
        ROOT / 'tools/dist_test.sh', config, workspace / 'two/epoch_1.pth', 2,
        '--work-dir', 'two-tested', '--cfg-options', 'test_dataloader.dataset.indices=2',
        cwd=workspace, PYTHONPATH=str(ROOT), PORT='29512', OMP_NUM_THREADS='1',
    )  # fmt: skip
    assert list((workspace / 'two-tested').glob('*/*.json'))


@pytest.mark.parametrize(
    ('message', 'command'),
    [
        ('expected a config file at absent.py', ['train', 'absent.py']),
        (
            'expected data/coco/annotations/instances_train2017.json.*data_root=DIR',
            ['train', ROOT / 'configs/det/vig_maskrcnn.py'],
        ),
        (
            "the config has no 'trian_cfg'; did you mean 'train_cfg'",
            ['train', MINI, '--cfg-options', 'trian_cfg.max_epochs=1'],
        ),
        (
            "model.train_cfg.rcnn has no 'samplr'; did you mean 'sampler'",
            ['train', MINI, '--cfg-options', 'model.train_cfg.rcnn.samplr.num=1'],
        ),
        (
            'param_scheduler is a list of 2.*index below that',
            ['train', MINI, '--cfg-options', 'param_scheduler.2.end=1'],
        ),
        ('expected a checkpoint file at absent.pth', ['test', MINI, 'absent.pth']),
        ('cut.pth is damaged', ['test', MINI, 'cut.pth']),
        ('cut.pth is damaged', ['train', MINI, '--resume', 'cut.pth']),
        (
            '--launcher pytorch: expected the variables RANK, WORLD_SIZE.*tools/dist_train.sh',
            ['train', MINI, '--launcher', 'pytorch'],
        ),
        (
            'env_cfg.dist_cfg.timeout to be seconds, got 0',
            ['train', MINI, '--launcher', 'pytorch', '--cfg-options', 'env_cfg.dist_cfg.timeout=0'],
        ),
        ('FSDP: expected processes started with tools/dist_train.sh', ['train', 'fsdp.py']),
        (
            "strategy: expected type='mmvig.FSDPStrategy' where optim_wrapper.clip_grad is set",
            ['train', 'fsdp.py', '--launcher=pytorch', '--cfg-options=strategy.type=FSDPStrategy'],
        ),
        ('expected --amp bfloat16 on a CPU, got float16', ['train', MINI, '--amp']),
        ("no config 'vig_maskrcnn_mni'; did you mean", ['train', 'vig_maskrcnn_mni']),
        ('expected --batch-size to be at least 1', [*PREDICT, '--batch-size', '0']),
        ('hostile.pth is refused', ['train', MINI, '--resume', 'hostile.pth']),
        ('expected --out to end in .pkl', ['test', MINI, 'cut.pth', '--out', 'x.json']),
    ],
)
def test_errors_say_what_to_do(message, command, trained, workspace, cli, monkeypatch):
    monkeypatch.chdir(workspace)
    (workspace / 'cut.pth').write_bytes(trained.read_bytes()[:100_000])
    (workspace / 'fsdp.py').write_text(f'_base_ = [{str(MINI)!r}, {str(FSDP)!r}]')
    torch.save(call_mkdir(str(workspace / 'ran')), workspace / 'hostile.pth')
    assert re.search(message, cli.user_error(*command))
    assert not (workspace / 'ran').exists()


@pytest.mark.parametrize(
    ('message', 'option'),
    [
        ('expected arch to be one of nano, tiny, small, base or a dict', 'model.backbone.arch=big'),
        ("unexpected keyword argument 'depth'", 'model.backbone.depth=50'),
    ],
)
def test_errors_of_the_backbone_reach_the_user(message, option, workspace, cli, monkeypatch):
    monkeypatch.chdir(workspace)
    assert message in cli.user_error('train', MINI, '--cfg-options', option)


def test_a_misspelt_section_is_named(workspace, cli, monkeypatch):
    monkeypatch.chdir(workspace)
    config = workspace / 'typo.py'
    config.write_text(f'_base_ = {str(MINI)!r}\noptim_wraper = dict(clip_grad=None)\n')
    expected = "section 'optim_wraper' that nothing reads; did you mean 'optim_wrapper'"
    assert expected in cli.user_error('train', config)


def test_amp_option_sets_the_optim_wrapper(monkeypatch, workspace):
    """What the option makes of the config, where there is a GPU."""
    wrappers = {'float16': 'AmpOptimWrapper', 'bfloat16': 'mmvig.BFloat16OptimWrapper'}
    for dtype, kind in wrappers.items():
        seen = []
        monkeypatch.chdir(workspace)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
        monkeypatch.setattr(mmvig.cli.precision, 'get_device', lambda: 'cuda')
        monkeypatch.setattr(mmvig.cli.train, 'run', lambda cfg, action, seen=seen: seen.append(cfg))
        mmvig.cli.train.main([str(MINI), '--amp', dtype])
        wrapper = seen[0].optim_wrapper
        assert wrapper.type == kind
        if dtype == 'float16':
            assert (wrapper.dtype, wrapper.loss_scale) == (dtype, 'dynamic')


def test_sync_batch_norms_are_replaced_on_cpus():
    cfg = Config.fromfile(ROOT / 'configs/seg/vig_upernet.py')
    assert cfg.model.decode_head.norm_cfg.type == 'SyncBN'
    without_sync_bn(cfg.model)
    assert cfg.model.decode_head.norm_cfg.type == cfg.model.auxiliary_head.norm_cfg.type == 'BN'


def test_unknown_command_lists_the_known_ones(tmp_path, cli):
    done = call(sys.executable, '-m', 'mmvig', 'trian', cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert 'train' in done.stderr
    assert 'usage: mmvig train' in cli.output('train', '--help')
