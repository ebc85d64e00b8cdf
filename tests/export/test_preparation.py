"""Test pipelines as steps of a manifest, and what no manifest can tell."""

import pytest
from mmengine.config import Config

from mmvig.checks.errors import UserError
from mmvig.export.preparation import steps

SCALING = {'backend': 'cv2', 'interpolation': 'bilinear'}


def pipeline(*transforms) -> Config:
    read, pack = dict(type='LoadImageFromFile', backend_args=None), dict(type='mmdet.PackDetInputs')
    return Config({'test_dataloader': {'dataset': {'pipeline': [read, *transforms, pack]}}})


@pytest.mark.parametrize(
    ('transform', 'step'),
    [
        (dict(type='Resize', scale=(800, 1333), keep_ratio=True),
         dict(type='resize', scale=[1333, 800], keep_ratio=True, **SCALING)),
        (dict(type='mmdet.Resize', scale=300, interpolation='bicubic'),
         dict(type='resize', scale=[300, 300], keep_ratio=False, backend='cv2',
              interpolation='bicubic')),
        (dict(type='Resize', scale_factor=(0.5, 1.0)),
         dict(type='resize', scale_factor=[0.5, 1.0], keep_ratio=False, **SCALING)),
        (dict(type='ResizeEdge', scale=256, backend='pillow'),
         dict(type='resize_edge', edge='short', size=256, backend='pillow',
              interpolation='bilinear')),
        (dict(type='CenterCrop', crop_size=(224, 160)),
         dict(type='center_crop', size=[160, 224])),
    ],
)  # fmt: skip
def test_steps(transform, step):
    assert steps(pipeline(transform, dict(type='LoadAnnotations', with_bbox=True))) == (step,)


def test_a_factor_of_one_is_no_step():
    assert steps(pipeline(dict(type='Resize', scale_factor=1.0))) == ()


@pytest.mark.parametrize(
    ('transform', 'message'),
    [
        (dict(type='Pad', size_divisor=32), 'expected Resize, ResizeEdge and CenterCrop in the'),
        (dict(type='LoadImageFromFile', color_type='grayscale'), "color_type='color' of LoadImage"),
        (dict(type='LoadImageFromFile', imdecode_backend='pillow'), "got 'imdecode_backend'"),
        (dict(type='CenterCrop', crop_size=9, auto_pad=True), 'auto_pad=False of CenterCrop'),
    ],
)
def test_what_no_manifest_can_tell(transform, message):
    with pytest.raises(UserError) as error:
        steps(pipeline(transform))
    assert message in str(error.value)
