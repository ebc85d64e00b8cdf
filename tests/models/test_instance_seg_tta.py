"""Masks of several views of an image, merged."""

import mmengine
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import nn

SIZE = (12, 20)
FLIPS = {None: [], 'horizontal': [-1], 'vertical': [-2], 'diagonal': [-2, -1]}
TTA = ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=2)


class Detector(nn.Module):
    def test_step(self, data):
        raise NotImplementedError


def model():
    return MODELS.build(dict(type='mmvig.InstanceSegTTAModel', module=Detector(), tta_cfg=TTA))


def truth() -> InstanceData:
    """Three objects that do not overlap, in no symmetrical place, with masks that are no boxes."""
    boxes = torch.tensor([[1.0, 1, 6, 5], [8, 2, 13, 9], [15, 6, 19, 11]])
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = torch.rand(y2 - y1, x2 - x1) > 0.4
    return InstanceData(
        bboxes=boxes, masks=masks, labels=torch.tensor([0, 1, 0]), scores=torch.ones(3)
    )


def view(objects: InstanceData, flip: str | None, scores: list[float]) -> DetDataSample:
    """What a perfect detector predicts for a view: in the flipped image's own coordinates."""
    boxes = bbox_flip(objects.bboxes, SIZE, flip) if flip else objects.bboxes.clone()
    seen = InstanceData(
        bboxes=boxes, masks=objects.masks.flip(FLIPS[flip]), labels=objects.labels,
        scores=torch.tensor(scores),
    )  # fmt: skip
    meta = dict(ori_shape=SIZE, flip=flip is not None, flip_direction=flip)
    return DetDataSample(metainfo=meta, pred_instances=seen)


@pytest.mark.parametrize('flip', FLIPS)
def test_masks_are_turned_back(flip):
    """The flipped view is the surer one for the second object, the other one for the first."""
    objects = truth()
    views = [view(objects, None, [0.9, 0.5, 0.1]), view(objects, flip, [0.6, 0.8, 0.2])]
    (merged,) = model().merge_preds([views])
    found = merged.pred_instances
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.bboxes, objects.bboxes[:2])
    assert torch.equal(found.masks, objects.masks[:2])


def test_views_without_objects():
    nothing = truth()[torch.zeros(3, dtype=torch.bool)]
    (merged,) = model().merge_preds([[view(nothing, None, []), view(nothing, 'horizontal', [])]])
    assert len(merged.pred_instances) == 0


def test_boxes_alone_are_merged_as_mmdet_does():
    objects = truth()
    del objects.masks
    views = [DetDataSample(metainfo=dict(ori_shape=SIZE, flip=False, flip_direction=None))]
    views[0].pred_instances = objects
    (merged,) = model().merge_preds([views])
    assert 'masks' not in merged.pred_instances
    assert len(merged.pred_instances) == 2


PIPELINE = """
tta_model = dict(
    type='mmvig.InstanceSegTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale_factor=1.0)],
        [dict(type='RandomFlip', prob=prob) for prob in PROBS],
        [dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                                               'scale_factor', 'flip', 'flip_direction'))],
    ]),
]
"""


def dumped(cli, config: str, *options) -> list[dict]:
    cli.output('test', config, 'det.pth', '--out', 'found.pkl', *options)
    return mmengine.load('found.pkl')


def test_one_view_is_what_testing_predicts(input_folder, cli):
    (input_folder / 'tta.py').write_text(
        "_base_ = './det.py'\n" + PIPELINE.replace('PROBS', '[0.0]')
    )
    for plain, merged in zip(
        dumped(cli, 'det.py'), dumped(cli, 'tta.py', '--tta'), strict=True
    ):  # fmt: skip
        expected, found = plain['pred_instances'], merged['pred_instances']
        assert len(found['scores']) > 0
        torch.testing.assert_close(found['scores'], expected['scores'])
        torch.testing.assert_close(found['bboxes'], expected['bboxes'])
        assert found['masks'] == expected['masks']
