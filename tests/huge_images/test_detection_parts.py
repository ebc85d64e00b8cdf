"""What detection by strips is made of, against the whole in float64."""

import numpy as np
import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.config import ConfigDict
from torch import Tensor

from mmvig.streaming import ArrayRows, Normalization
from mmvig.streaming.detection.limits import scaled_limits
from mmvig.streaming.detection.padding import padded
from mmvig.streaming.detection.windows import group_regions, read_window
from mmvig.streaming.image import Image
from tests.streaming.models import draw
from tests.streaming.test_layers import given

from .detection_models import detector

STRIDES = [4, 8]


@pytest.fixture
def maps() -> list:
    torch.manual_seed(0)
    return [given(40, 30), given(20, 15)]


def regions() -> Tensor:
    """Of all sizes, some at the border, one of the whole image and one of no size."""
    torch.manual_seed(1)
    first = torch.rand(40, 2, dtype=torch.float64) * torch.tensor([120, 160])
    size = torch.rand(40, 2, dtype=torch.float64) ** 3 * torch.tensor([120, 160])
    last = (first + size).clamp(max=torch.tensor([120, 160]))
    special = torch.tensor([[0, 0, 120, 160], [7, 9, 7, 9], [0, 150, 3, 160], [119, 0, 120, 1]])
    boxes = torch.cat([torch.cat([first, last], dim=1), special])
    return torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)


def extractor(**options) -> SingleRoIExtractor:
    layer = dict(type='RoIAlign', output_size=3, sampling_ratio=0) | options
    return SingleRoIExtractor(layer, 4, STRIDES, finest_scale=20).double()


@pytest.mark.parametrize('most', [1, 150, 10**6])
@pytest.mark.parametrize('aligned', [True, False])
def test_regions_sampled_from_windows(maps, most, aligned):
    """Measured: 1e-13."""
    rois, extract = regions(), extractor(aligned=aligned)
    whole = extract([one.x_BYXC.permute(0, 3, 1, 2).contiguous() for one in maps], rois)
    levels = extract.map_roi_levels(rois, 2)
    seen = []
    for window in group_regions(rois, levels, maps, STRIDES, most):
        x_BCYX = read_window(maps[window.level], window, part_bytes=1000)
        seen += window.regions
        positions = x_BCYX.shape[2] * x_BCYX.shape[3]
        assert positions <= most or len(window.regions) == 1
        offset = STRIDES[window.level] * torch.tensor(
            [0, window.left, window.top, window.left, window.top]
        )
        found = extract.roi_layers[window.level](x_BCYX, rois[window.regions] - offset)
        torch.testing.assert_close(found, whole[window.regions], rtol=0, atol=1e-12)
    assert sorted(seen) == list(range(len(rois)))
    assert {0, 1} == set(levels.tolist())


def test_regions_far_down_lose_no_bits():
    """In float32, 60,000 pixels from the top, where a position is rounded to 4e-3 pixels."""
    source = given(16, 8, dtype=torch.float32)
    top = 15_000
    box = torch.tensor([[0, 3.3, 4 * top + 5.7, 21.1, 4 * top + 40.2]])
    layer = RoIAlign(3, spatial_scale=0.25)
    x_BCYX = source.x_BYXC.permute(0, 3, 1, 2).contiguous()
    shifted = box - torch.tensor([0, 0, 4 * top, 0, 4 * top])
    exact = RoIAlign(3, spatial_scale=0.25)(x_BCYX.double(), shifted.double())
    torch.testing.assert_close(layer(x_BCYX, shifted).double(), exact, rtol=0, atol=1e-5)


def test_padding_is_zero_where_the_model_sees_it():
    model = detector('faster')
    for order in ('bgr', 'rgb'):
        normalization = Normalization.of(model.data_preprocessor, order)
        image = draw(50, 70) if order == 'bgr' else draw(50, 70)[..., ::-1]
        rows = padded(ArrayRows(image), model.data_preprocessor, normalization)
        assert rows.shape == (64, 96, 3)
        like = torch.zeros(())
        found = Image(rows, normalization, 3, like)
        found = torch.cat([found.rows(0, 40), found.rows(40, 57), found.rows(57, 64)], dim=1)
        inputs = [torch.from_numpy(draw(50, 70)).permute(2, 0, 1)]
        expected = model.data_preprocessor({'inputs': inputs, 'data_samples': None})['inputs']
        torch.testing.assert_close(found.permute(0, 3, 1, 2), expected, rtol=0, atol=1e-6)
        assert not found[:, 50:].any()
        assert not found[:, :, 70:].any()


def test_an_image_that_fits_is_not_padded():
    model = detector('faster')
    image = ArrayRows(np.zeros((64, 96, 3), np.uint8))
    assert padded(image, model.data_preprocessor, Normalization()) is image


def test_limits():
    photo = 1333 * 800
    cfg = ConfigDict(nms_pre=1000, max_per_img=100, score_thr=0.05)
    assert scaled_limits(cfg, photo // 2) == cfg
    assert scaled_limits(cfg, 2 * photo) == dict(nms_pre=2000, max_per_img=200, score_thr=0.05)
    assert scaled_limits(ConfigDict(max_per_img=-1), 2 * photo) == dict(max_per_img=-1)
