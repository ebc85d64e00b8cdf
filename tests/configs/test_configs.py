"""Every config: it loads, builds, fits together and runs."""

import inspect
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from tests.support.batches import cls_batch, det_batch, seg_batch

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Trained for a step beside the mini configs, which stand for the configs they are derived from.
OTHER_MODELS = ('vig_cascade-maskrcnn', 'vig_retinanet')
BATCHES = {'mmdet': det_batch, 'mmseg': seg_batch, 'mmpretrain': cls_batch}
ENTRIES = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')


def load(path: Path) -> Config:
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    return cfg


def test_configs_are_found():
    assert {CONFIGS / 'det/vig_maskrcnn.py', CONFIGS / 'seg/vig_upernet.py'} <= set(ENTRIES)


@pytest.mark.parametrize('path', ENTRIES, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_config(path):
    cfg = load(path)
    assert cfg.filename == str(path)
    header = path.read_text().split('"""')
    assert header[0] == '', 'a config says its command, cost and result'
    assert all(word in header[1] for word in ('Command:', 'measured'))
    backbone = dict(cfg.model.backbone)
    cls = MODELS.get(backbone.pop('type'))
    known = set(inspect.signature(cls.__init__).parameters)
    assert set(backbone) <= known, 'something of a base config leaked into the backbone'

    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    if path.stem.endswith('_mini') or path.stem in OTHER_MODELS:
        check_gradients(model, BATCHES[cfg.default_scope]())
    model.eval()
    image = torch.randint(0, 256, (3, 61, 90), dtype=torch.uint8)
    with torch.no_grad():
        CHECKS[cfg.default_scope](model, image)


def check_gradients(model, batch):
    """Processes wait for the gradient of every parameter, so each must get one."""
    model.train()
    data = model.data_preprocessor(batch, training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing, f'they would make DDP fail: {missing}'


def check_detector(model, image):
    assert list(model.neck.in_channels) == list(model.backbone.out_channels)
    meta = dict(
        img_shape=image.shape[1:], ori_shape=image.shape[1:], scale_factor=(1.0, 1.0), img_id=0
    )
    sample = DetDataSample(metainfo=meta)
    (result,) = model.test_step({'inputs': [image], 'data_samples': [sample]})
    assert torch.isfinite(result.pred_instances.scores).all()
    if model.__class__.__name__ != 'RetinaNet':
        assert result.pred_instances.masks.shape[1:] == image.shape[1:]


def check_segmentor(model, image):
    widths = list(model.backbone.out_channels)
    if model.with_neck:
        assert list(model.neck.in_channels) == widths
        widths = [model.neck.out_channels] * 4
    assert list(model.decode_head.in_channels) == widths
    assert model.auxiliary_head.in_channels == widths[model.auxiliary_head.in_index]
    meta = dict(img_shape=image.shape[1:], ori_shape=image.shape[1:])
    sample = SegDataSample(metainfo=meta)
    (result,) = model.test_step({'inputs': [image], 'data_samples': [sample]})
    assert result.pred_sem_seg.data.shape == (1, *image.shape[1:])
    assert torch.isfinite(result.seg_logits.data).all()


def check_classifier(model, image):
    assert model.head.in_channels == model.backbone.out_channels[-1]
    (result,) = model.test_step({'inputs': [image], 'data_samples': [DataSample()]})
    assert result.pred_score.sum() == pytest.approx(1, abs=1e-5)


CHECKS = {'mmdet': check_detector, 'mmseg': check_segmentor, 'mmpretrain': check_classifier}


@pytest.mark.parametrize(
    ('stem', 'parts'),
    [
        ('det/vig{}_maskrcnn.py', {'backbone', 'neck'}),
        ('seg/vig{}_upernet.py', {'backbone', 'decode_head', 'auxiliary_head'}),
        ('det/vig-plain{}_maskrcnn.py', {'backbone', 'neck'}),
    ],
)
def test_model_sizes_differ_in_backbone_and_widths_only(stem, parts):
    tiny, small, base = (load(CONFIGS / stem.format(size)).to_dict() for size in ('', '-s', '-b'))
    for other in (small, base):
        differing = {key for key in tiny if tiny[key] != other[key]}
        assert differing == {'model'}
        model, changed = dict(tiny['model']), dict(other['model'])
        assert {key for key in model if model[key] != changed[key]} <= parts


def test_detection_schedules():
    for name in ('maskrcnn', 'cascade-maskrcnn', 'retinanet'):
        cfg = load(CONFIGS / f'det/vig_{name}.py')
        assert cfg.train_cfg.max_epochs == 12
        assert cfg.param_scheduler[1].milestones == [8, 11]
        assert cfg.optim_wrapper.optimizer.type == 'AdamW'
        assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 16
    for name in ('maskrcnn', 'cascade-maskrcnn'):
        cfg = load(CONFIGS / f'det/vig_{name}_3x.py')
        assert cfg.train_cfg.max_epochs == 36
        assert cfg.param_scheduler[1].milestones == [27, 33]
        assert 'RandomChoice' in [step.type for step in cfg.train_dataloader.dataset.pipeline]


def test_segmentation_follows_the_swin_recipe_of_mmseg():
    """Optimizer, schedule and data of mmseg's UperNet with Swin-T on ADE20K."""
    package = Path(find_spec('mmseg').origin).parent
    name = 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
    swin = Config.fromfile(package / '.mim/configs/swin' / name)
    ours = load(CONFIGS / 'seg/vig_upernet.py')
    assert ours.optim_wrapper.optimizer == swin.optim_wrapper.optimizer
    assert ours.train_dataloader == swin.train_dataloader
    assert ours.val_dataloader == swin.val_dataloader
    assert ours.train_cfg.max_iters == swin.train_cfg.max_iters
    for part in ('decode_head', 'auxiliary_head'):
        assert ours.model[part] == swin.model[part]
    for step, expected in zip(ours.param_scheduler, swin.param_scheduler, strict=True):
        assert step == expected


def test_cityscapes_crops():
    cfg = load(CONFIGS / 'seg/vig_upernet_cityscapes.py')
    crops = [s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomCrop']
    assert [tuple(crop.crop_size) for crop in crops] == [(1024, 1024)]
    assert tuple(cfg.model.data_preprocessor.size) == (1024, 1024)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[1].end == 80000


OFFICIAL_RECIPES = {
    'vig': (8e-4, 0.2, 0.05),
    'vig-s': (5e-4, 0.3, 0.05),
    'vig-b': (5e-4, 0.6, 0.05),
    'vig-plain': (1e-3, 0.0, 0.05),
    'vig-plain-s': (5e-4, 0.2, 0.1),
    'vig-plain-b': (1e-3, 0.5, 0.05),
}


@pytest.mark.parametrize('name', OFFICIAL_RECIPES)
def test_classification_follows_the_official_recipe(name):
    """Rates per 512 images, at 1024; drop path; weight decay; 300 epochs with EMA and clipping."""
    rate, drop_path, weight_decay = OFFICIAL_RECIPES[name]
    cfg = load(CONFIGS / f'cls/{name}_imagenet.py')
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate * 1024 / 512)
    assert cfg.optim_wrapper.optimizer.weight_decay == weight_decay
    assert cfg.model.backbone.get('drop_path_rate', 0.0) == drop_path
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 1024
    assert cfg.train_cfg.max_epochs == 300
    assert cfg.optim_wrapper.clip_grad.max_norm == 5.0
    (ema,) = cfg.custom_hooks
    assert ema.momentum == 1e-4


@pytest.mark.parametrize(
    ('name', 'rate', 'decay'),
    [
        ('det/vig-plain_maskrcnn', 1e-4, 0.85),
        ('seg/vig-plain_upernet', 1.2e-4, 0.95),
        ('seg/vig-plain-b_upernet', 6e-5, 0.8),
    ],
)
def test_plain_backbones_learn_by_layer_decay(name, rate, decay):
    """The rates of Vision-RWKV; stem and positions are 13 layers below the head."""
    cfg = load(CONFIGS / f'{name}.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    groups = {names[id(p)]: group for group in optimizer.param_groups for p in group['params']}
    assert groups['backbone.pos_embed']['lr'] == pytest.approx(rate * decay**13)
    assert groups['backbone.pos_embed']['weight_decay'] == 0
    assert groups['backbone.blocks.11.mlp.fc1.weight']['lr'] == pytest.approx(rate * decay)
    assert groups['neck.levels.0.0.module.weight']['lr'] == rate


def test_no_weight_decay_on_norms():
    cfg = load(CONFIGS / 'det/vig_maskrcnn_mini.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group['params']:
            assert (group['weight_decay'] == 0) == ('norm' in names[id(p)]), names[id(p)]
