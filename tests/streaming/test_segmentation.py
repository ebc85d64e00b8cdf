"""Logits and labels by strips equal those that mmseg predicts in one piece."""

import numpy as np
import pytest
from torch import nn

from mmvig.streaming import ArrayRows, ArraySink, StreamingError, Workspace, stream_segmentation

from .models import (
    EXTRA_CONVS,
    FPN,
    LINGLO,
    PLAIN,
    PYRAMID,
    VIR,
    by_strips,
    draw,
    in_memory,
    segmentor,
)

MODELS = {
    'vig': dict(),
    'aligned corners': dict(align_corners=True),
    'two levels, other scales': dict(widths=(8, 16), in_index=[1, 3], pool_scales=(2, 5)),
    'linglo, 300 classes': dict(backbone=LINGLO, num_classes=300),
    'fpn': dict(neck=FPN, widths=(8,) * 5),
    'fpn, extra convolutions': dict(neck=FPN | EXTRA_CONVS, widths=(8,) * 5),
    'fpn, on the input': dict(neck=FPN | dict(add_extra_convs='on_input'), widths=(8,) * 5),
    'fpn, bilinear': dict(neck=FPN | dict(upsample_cfg=dict(mode='bilinear')), widths=(8,) * 5),
    'plain': dict(backbone=PLAIN, neck=PYRAMID, widths=(8,) * 4),
    'vir': dict(backbone=VIR, neck=PYRAMID | dict(start_level=1), widths=(8,) * 4),
    'binary': dict(num_classes=2, out_channels=1, threshold=0.4),
}


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.filterwarnings('ignore:threshold is not defined')
def test_logits_and_labels_are_those_in_memory(name):
    """Measured in float64: 1e-14."""
    model = segmentor(**MODELS[name])
    for shape, strip_rows in (((1, 1), 1), ((70, 1), 3), ((97, 131), 1), ((131, 90), None)):
        image = draw(*shape)
        logits, labels = in_memory(model, image)
        found_logits, found_labels = ArraySink(), ArraySink()
        with Workspace(ram_bytes=0) as workspace:
            stream_segmentation(
                model,
                ArrayRows(image),
                found_labels,
                workspace,
                logits=found_logits,
                strip_rows=strip_rows,
                channel_order='bgr',
            )
        found = found_logits.array
        if name == 'binary':
            found = 1 / (1 + np.exp(-found))  # mmseg returns probabilities there
        assert found.shape == logits.shape
        assert np.abs(found - logits).max() < 1e-12 * np.abs(logits).max()
        assert np.array_equal(found_labels.array, labels)
        assert found_labels.array.dtype == (np.int32 if '300' in name else np.uint8)


def test_labels_alone_are_the_same():
    model, image = segmentor(), draw(97, 131)
    for strip_rows in (1, 7, None):
        found = by_strips(model, ArrayRows(image), Workspace(), strip_rows=strip_rows)
        assert np.array_equal(found, in_memory(model, image)[1])


def test_memory_decides_how_high_strips_are():
    """Whatever that is, numbers do not change."""
    model, image = segmentor(), draw(97, 131)
    for memory_bytes in (1, 2**20, 2**24):
        found = by_strips(model, ArrayRows(image), Workspace(), memory_bytes=memory_bytes)
        assert np.array_equal(found, in_memory(model, image)[1])


def test_channels_in_the_order_of_files():
    model, image = segmentor(), draw(40, 50)
    found = by_strips(model, ArrayRows(image[..., ::-1]), Workspace(), channel_order='rgb')
    assert np.array_equal(found, in_memory(model, image)[1])


def test_what_cannot_be_streamed_is_refused():
    def refused(model: nn.Module, message: str, **options) -> None:
        with pytest.raises((StreamingError, ValueError), match=message):
            by_strips(model, ArrayRows(draw(8, 8)), Workspace(), **options)

    refused(segmentor().train(), 'expected a model in eval mode')
    refused(segmentor(norm_cfg=dict(type='GN', num_groups=2)), 'on rows.*GroupNorm')
    refused(segmentor(type='mmseg.FCNHead', in_channels=8, in_index=0), 'UPerHead, got FCNHead')
    padding = segmentor()
    padding.data_preprocessor.test_cfg = dict(size_divisor=32)
    refused(padding, 'pads nothing in inference')
    refused(segmentor(), "one of rgb, bgr; got 'rbg'", channel_order='rbg')
