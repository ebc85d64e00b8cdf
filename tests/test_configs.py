"""Every config: it loads, builds, fits together and runs."""

import inspect
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
ENTRIES = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')


def load(path: Path) -> Config:
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    return cfg


def test_entries_are_found():
    assert CONFIGS / 'det/vig_maskrcnn.py' in ENTRIES


@pytest.mark.parametrize('path', ENTRIES, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_config(path):
    cfg = load(path)
    assert cfg.filename == str(path)
    assert path.read_text().startswith('"""'), 'a config says its command, cost and result'
    backbone = dict(cfg.model.backbone)
    cls = MODELS.get(backbone.pop('type'))
    known = set(inspect.signature(cls.__init__).parameters)
    assert set(backbone) <= known, 'something of a base config leaked into the backbone'

    model = MODELS.build(cfg.model).eval()
    assert list(model.neck.in_channels) == list(model.backbone.out_channels)
    image = torch.randint(0, 256, (3, 61, 90), dtype=torch.uint8)
    with torch.no_grad():
        (result,) = model.test_step({'inputs': [image], 'data_samples': [sample((61, 90))]})
    scores = result.pred_instances.scores
    assert torch.isfinite(scores).all()
    assert result.pred_instances.masks.shape[1:] == (61, 90)


def sample(shape):
    from mmdet.structures import DetDataSample

    return DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=0)
    )


def test_sizes_differ_only_where_they_should():
    tiny, small, base = (
        load(CONFIGS / f'det/vig{size}_maskrcnn.py').to_dict() for size in ('', '-s', '-b')
    )
    for other in (small, base):
        differing = {key for key in tiny if tiny[key] != other[key]}
        assert differing == {'model'}
        model, changed = dict(tiny['model']), dict(other['model'])
        assert {key for key in model if model[key] != changed[key]} <= {'backbone', 'neck'}


def test_schedules():
    one, three = (load(CONFIGS / f'det/vig_maskrcnn{s}.py') for s in ('', '_3x'))
    assert one.train_cfg.max_epochs == 12
    assert one.param_scheduler[1].milestones == [8, 11]
    assert three.train_cfg.max_epochs == 36
    assert three.param_scheduler[1].milestones == [27, 33]
    pipeline = [step.type for step in three.train_dataloader.dataset.pipeline]
    assert 'RandomChoice' in pipeline
    for cfg in (one, three):
        assert cfg.optim_wrapper.optimizer.type == 'AdamW'
        assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 16


def test_no_weight_decay_on_norms():
    from mmengine.optim import build_optim_wrapper

    cfg = load(CONFIGS / 'det/vig_maskrcnn_mini.py')
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group['params']:
            assert (group['weight_decay'] == 0) == ('norm' in names[id(p)]), names[id(p)]
