"""The inference APIs of the MM libraries and `mmvig predict`, on real photos."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmvig

WIDTHS = [32, 64, 128, 256]  # of ViG nano
CHANGES = {
    'det/vig_maskrcnn': {
        'model.neck.in_channels': WIDTHS,
        'model.test_cfg.rpn.max_per_img': 50,
        'model.test_cfg.rcnn': {'score_thr': 0.0, 'max_per_img': 5},
    },
    'seg/vig_upernet': {
        'model.decode_head': {'in_channels': WIDTHS, 'channels': 32},
        'model.auxiliary_head': {'in_channels': 128, 'channels': 32},
    },
    'cls/vig_imagenet': {'model.head.in_channels': 256},
}


@pytest.fixture(scope='module')
def zoo(tmp_path_factory):
    """For each task, a config with ViG nano from an installed one, and a checkpoint.

    Detection and segmentation look at images of a quarter of the size, for speed.
    """
    folder = tmp_path_factory.mktemp('zoo')
    paths = {}
    for name, changes in CHANGES.items():
        task = name[:3]
        config, checkpoint = folder / f'{task}.py', folder / f'{task}.pth'
        cfg = Config.fromfile(mmvig.get_config(name))
        cfg.merge_from_dict({'model.backbone.arch': 'nano', **changes})
        for step in cfg.test_dataloader.dataset.pipeline:
            if step.get('keep_ratio'):
                step.scale = tuple(side // 4 for side in step.scale)
        cfg.dump(config)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        cfg.model.backbone.init_cfg = None
        model = MODELS.build(cfg.model)
        model.init_weights()
        classes = [f'thing{i}' for i in range({'det': 80, 'seg': 150, 'cls': 1000}[task])]
        meta = {'classes': classes, 'palette': [[i % 256, 99, 7] for i in range(len(classes))]}
        torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': meta}}, checkpoint)
        paths[task] = (str(config), str(checkpoint))
    return paths


@pytest.fixture(scope='module')
def photos(coco_photos, tmp_path_factory) -> list[Path]:
    """Three photos of different sizes, halved for speed."""
    folder = tmp_path_factory.mktemp('halved')
    by_shape = {}
    for path in sorted(coco_photos.glob('val2017/*.jpg')):
        photo = cv2.imread(str(path))
        if photo.shape not in by_shape:
            by_shape[photo.shape] = folder / path.name
            cv2.imwrite(str(folder / path.name), cv2.resize(photo, None, fx=0.5, fy=0.5))
    return list(by_shape.values())[:3]


def test_mmdet_init_and_inference_detector(zoo, photos):
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(*zoo['det'], device='cpu')
    together = inference_detector(model, list(map(str, photos)))
    assert [r.ori_shape for r in together] == [cv2.imread(str(p)).shape[:2] for p in photos]
    for result in together:
        assert result.pred_instances.masks.shape[1:] == result.ori_shape
        assert torch.isfinite(result.pred_instances.bboxes).all()
    (from_array,) = inference_detector(model, [cv2.imread(str(photos[0]))])
    torch.testing.assert_close(from_array.pred_instances.bboxes, together[0].pred_instances.bboxes)


def test_mmdet_inferencer(zoo, photos, tmp_path):
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(*zoo['det'], device='cpu', show_progress=False)
    found = inferencer(list(map(str, photos)), batch_size=3, out_dir=str(tmp_path))
    assert len(found['predictions']) == 3
    assert all(len(p['bboxes']) == 5 for p in found['predictions'])
    assert {p.name for p in (tmp_path / 'vis').iterdir()} == {p.name for p in photos}


def test_mmseg_init_model_and_inference_model(zoo, photos):
    from mmseg.apis import inference_model, init_model

    model = init_model(*zoo['seg'], device='cpu')
    alone = inference_model(model, str(photos[0]))
    assert alone.pred_sem_seg.shape == cv2.imread(str(photos[0])).shape[:2]
    together = inference_model(model, list(map(str, photos)))
    for photo, result in zip(photos, together, strict=True):
        shape = cv2.imread(str(photo)).shape[:2]
        assert result.pred_sem_seg.shape == shape
        assert result.seg_logits.data.shape == (150, *shape)
        assert torch.isfinite(result.seg_logits.data).all()


def test_mmseg_inferencer(zoo, photos):
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(*zoo['seg'], dataset_name='ade20k', device='cpu')
    found = inferencer(list(map(str, photos)), batch_size=2)['predictions']
    assert [x.shape for x in found] == [cv2.imread(str(p)).shape[:2] for p in photos]


def test_mmpretrain_get_model_and_inferencer(zoo, photos):
    from mmpretrain import get_model
    from mmpretrain.apis import ImageClassificationInferencer

    config, checkpoint = zoo['cls']
    init_default_scope('mmpretrain')
    model = get_model(config, pretrained=checkpoint, device='cpu')
    maps = model.extract_feat(torch.zeros(1, 3, 75, 101), stage='backbone')
    assert [tuple(x.shape) for x in maps] == [(1, 256, 3, 4)]
    found = ImageClassificationInferencer(config, checkpoint, device='cpu')(list(map(str, photos)))
    assert all(np.isfinite(x['pred_score']) and x['pred_class'] for x in found)


def test_building_by_type_alone():
    """As in a project that builds its backbone from mmpretrain's registry."""
    from mmpretrain.registry import MODELS as PRETRAIN_MODELS

    backbone = PRETRAIN_MODELS.build(dict(type='mmvig.MultiScaleViG', arch='nano'))
    assert backbone.out_channels == (32, 64, 128, 256)


def test_predict_writes_pictures_for_every_task(zoo, photos, cli, tmp_path):
    for task, config_and_checkpoint in zoo.items():
        out = tmp_path / task
        options = ('--out', out, '--batch-size', 3, '--score-thr', 0)
        cli.output('predict', *config_and_checkpoint, *photos, *options)
        pictures = {path.stem for path in (out / 'vis').iterdir()}
        assert pictures == {path.stem for path in photos}
        for path in (out / 'vis').iterdir():
            assert cv2.imread(str(path)) is not None
        assert cv2.imread(str(out / 'sheet.png')) is not None
    shape = cv2.imread(str(photos[1])).shape[:2]
    labels = cv2.imread(str(tmp_path / f'seg/pred/{photos[1].stem}.png'), cv2.IMREAD_UNCHANGED)
    assert labels.shape == shape
    assert len(list((tmp_path / 'det/preds').glob('*.json'))) == 3
    assert len(json.loads((tmp_path / 'cls/preds.json').read_text())) == 3


@pytest.mark.parametrize(
    ('message', 'images'),
    [
        ('expected an image or a folder at absent.jpg', ['absent.jpg']),
        ('expected images in the folder .*empty, found none', ['{tmp}/empty']),
        ('note.jpg cannot be read', ['{tmp}/note.jpg']),
    ],
)
def test_predict_names_bad_images(message, images, zoo, cli, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'note.jpg').write_text('not an image')
    paths = [name.format(tmp=tmp_path) for name in images]
    error = cli.user_error('predict', *zoo['det'], *paths, '--out', tmp_path / 'out')
    assert re.search(message, error)
    assert not (tmp_path / 'out').exists()


def test_predict_refuses_a_checkpoint_of_another_model(zoo, photos, cli, tmp_path):
    (config, _), (_, other) = zoo['det'], zoo['seg']
    message = cli.user_error('predict', config, other, photos[0], '--out', tmp_path / 'out')
    assert 'seg.pth does not fit MaskRCNN: missing: ' in message
