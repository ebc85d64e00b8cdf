"""The picture of a huge image's labels is the one that mmseg draws."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmvig.apis.huge_images.segmentation import Visualizer


def picture(kind: type, image_YXC: np.ndarray, labels_YX: np.ndarray) -> np.ndarray:
    visualizer = kind(alpha=0.5)
    visualizer.set_dataset_meta(tuple('abcd'), [[0, 0, 0], [250, 0, 0], [0, 250, 0], [0, 0, 250]])
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.from_numpy(labels_YX[None])))
    visualizer.add_datasample('one', image_YXC, sample, draw_gt=False)
    return visualizer.get_image()


@pytest.mark.parametrize('size', [(1, 40), (60, 1), (161, 140)])
def test_classes_are_named_where_mmseg_names_them(size):
    """Also where rows have equally many pixels of a class, and where a class has one pixel."""
    rng = np.random.default_rng(0)
    image_YXC = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    labels_YX = rng.integers(0, 3, size)
    labels_YX[-1, -1] = 3
    expected = picture(SegLocalVisualizer, image_YXC, labels_YX)
    np.testing.assert_array_equal(picture(Visualizer, image_YXC, labels_YX), expected)
