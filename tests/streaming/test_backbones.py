"""Maps by strips equal those in memory, for every backbone, any size and any strips."""

import numpy as np
import pytest
import torch
from torch import nn

from mmvig.models.backbones import LinGlo, ViR
from mmvig.streaming import ArrayRows, StreamingError, Workspace, stream_features
from tests.support.backbone_cases import CASES

from .models import draw

# Heights that leave a last strip of one row in some stage, sides of one pixel, a long row.
SHAPES = [(1, 1), (33, 47), (70, 1), (97, 64), (5, 4097)]


def build(name: str, **options) -> nn.Module:
    case = CASES[name]
    depth = len(case.sizes['depths']) if 'depths' in case.sizes else case.sizes['depth']
    model = case.build(arch=case.sizes, out_indices=tuple(range(depth)), **options)
    for parameter in model.parameters():
        if parameter.ndim == 1 or parameter is getattr(model, 'pos_embed', None):
            nn.init.normal_(parameter, 0.5, 0.5)  # norms, biases, scales; positions
    if isinstance(model, ViR):
        nn.init.normal_(model.cls_token)
    return model.double().eval()


def streamed(model: nn.Module, image: np.ndarray, **options) -> list[np.ndarray]:
    with Workspace(ram_bytes=0) as workspace:
        maps = stream_features(model, ArrayRows(image), workspace, **options)
        return [one.read(0, one.shape[0]) for one in maps]


@torch.no_grad()
def in_memory(model: nn.Module, image: np.ndarray) -> list[np.ndarray]:
    dtype = next(model.parameters()).dtype
    found = model(torch.from_numpy(image).to(dtype).permute(2, 0, 1)[None])
    return [one[0].permute(1, 2, 0).numpy() for one in found]


def error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest one, relative to the largest number of its map."""
    assert [one.shape for one in found] == [one.shape for one in expected]
    pairs = zip(found, expected, strict=True)
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_maps_are_those_in_memory(name, shape):
    """Measured in float64: 3e-15."""
    model, image = build(name), draw(*shape)
    expected = in_memory(model, image)
    for strip_rows in (1, 3, None):
        assert error(streamed(model, image, strip_rows=strip_rows), expected) < 1e-13


@pytest.mark.parametrize('name', CASES)
def test_float32_stays_as_close(name):
    """Measured: 6e-7."""
    model, image = build(name).float(), draw(130, 150)
    found = streamed(model, image, strip_rows=2)
    assert error(found, in_memory(model, image)) < 1e-5


@pytest.mark.parametrize('name', ['MultiScaleViG', 'PlainViG', 'ViR-bidirectional', 'LinGlo'])
def test_the_first_row_sees_the_last_strip(name):
    model, image = build(name), draw(65, 32)
    other = image.copy()
    other[-1] = 255 - other[-1]
    found, changed = (streamed(model, one, strip_rows=1) for one in (image, other))
    assert np.abs(found[-1][0] - changed[-1][0]).max() > 1e-9


def test_the_autoregressive_mode_sees_nothing_below():
    model, image = build('ViR'), draw(64, 32)
    other = image.copy()
    other[-16:] = 255 - other[-16:]
    found, changed = (streamed(model, one, strip_rows=1)[-1] for one in (image, other))
    assert np.array_equal(found[:-1], changed[:-1])
    assert not np.array_equal(found[-1], changed[-1])


@pytest.mark.parametrize('mode', ['autoregressive', 'bidirectional'])
def test_the_class_token_comes_after_the_last_strip(mode):
    model, image = build('ViR', mode=mode, out_type='cls_token'), draw(50, 40)
    with torch.no_grad():
        (expected,) = model(torch.from_numpy(image).double().permute(2, 0, 1)[None])
    (found,) = streamed(model, image, strip_rows=1)
    np.testing.assert_allclose(found[0, 0], expected[0], rtol=0, atol=1e-12)


def test_a_wider_window_reaches_over_several_strips():
    model = LinGlo(arch=CASES['LinGlo'].sizes, out_indices=(1,))
    for stage in model.stages:
        stage.blocks[1].mixer.window = 5
    model, image = model.double().eval(), draw(40, 40)
    assert error(streamed(model, image, strip_rows=1), in_memory(model, image)) < 1e-13


def test_what_cannot_be_streamed_is_refused():
    model = build('MultiScaleViG')
    with pytest.raises(StreamingError, match='expected a model in eval mode'):
        streamed(model.train(), draw(8, 8))
    with pytest.raises(StreamingError, match=r'expected an image .*height, width, 3.*8, 8, 4'):
        streamed(model.eval(), draw(8, 8, 4))
    with pytest.raises(StreamingError, match='expected a backbone of mmvig, got Conv2d'):
        streamed(nn.Conv2d(3, 4, 1).eval(), draw(8, 8))
    with pytest.raises(ValueError, match='expected strip_rows to be 1 or more, got 0'):
        streamed(model, draw(8, 8), strip_rows=0)
