"""The set whose classes show only at the far end of long bars."""

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmvig.datasets import far_ends
from mmvig.datasets.far_ends import CLASSES, END, PALETTE, SIZE, draw, ensure_far_ends


@pytest.mark.parametrize('size', [SIZE, (150, 700)])
def test_an_image_depends_on_seed_and_size_only(size):
    image_YXC, labels_YX = draw(7, size)
    assert image_YXC.shape == (*size, 3)
    assert labels_YX.shape == size
    np.testing.assert_array_equal(draw(7, size)[0], image_YXC)
    assert (draw(8, size)[0] != image_YXC).any()


@pytest.mark.parametrize('seed', range(8))
def test_only_the_ends_have_color(seed):
    """Between them no pixel tells a class: fine noise apart, all are gray."""
    image_YXC, labels_YX = draw(seed, (400, 300))
    spread = np.ptp(image_YXC.astype(int), axis=-1)
    assert spread[:, END:-END].max() < 50
    ends = np.r_[0:END, -END:0]
    for label in range(1, len(CLASSES)):
        shown = image_YXC[:, ends][(labels_YX[:, ends] == label) & (spread[:, ends] > 60)]
        if len(shown):
            color = np.array(PALETTE[label][::-1])
            assert np.abs(np.median(shown, axis=0) - color).max() < 50


@pytest.mark.parametrize('seed', range(8))
def test_every_bar_reaches_from_side_to_side(seed):
    _, labels_YX = draw(seed, (400, 300))
    count, parts_YX = cv2.connectedComponents((labels_YX > 0).astype(np.uint8))
    for part in range(1, count):
        columns = np.flatnonzero((parts_YX == part).any(0))
        assert len(columns) == 300
        assert len(np.unique(labels_YX[parts_YX == part])) == 1


def test_the_set_is_drawn_on_first_use(tmp_path, monkeypatch):
    from mmvig.datasets.far_ends_seg import MiniFarEndsDataset

    monkeypatch.setattr(far_ends, 'SPLITS', {'training': (3, 5), 'validation': (2, 9)})
    init_default_scope('mmseg')
    root = tmp_path / 'deep/far-ends'
    dataset = MiniFarEndsDataset(
        data_root=str(root),
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    assert len(dataset) == 3
    sample = dataset[1]
    image_YXC, labels_YX = draw(6)
    np.testing.assert_array_equal(sample['img'], image_YXC)
    np.testing.assert_array_equal(sample['gt_seg_map'], labels_YX)
    assert [path.name for path in root.parent.iterdir()] == ['far-ends']


def test_a_set_that_could_not_be_drawn(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('no space')

    monkeypatch.setattr(far_ends.mmcv, 'imwrite', fail)
    with pytest.raises(OSError, match='could not draw the set into .*far-ends: no space'):
        ensure_far_ends(tmp_path / 'far-ends')
    assert not list(tmp_path.iterdir())
