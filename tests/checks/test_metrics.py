"""Names of metrics against what the metrics really give, and what waits for them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.structures import BaseDataElement
from mmpretrain.evaluation import Accuracy
from mmseg.evaluation import IoUMetric
from torch import nn

from mmvig.checks import UserError
from mmvig.checks.metrics import (
    awaited_metrics,
    check_awaited_metrics,
    check_metrics,
    check_truth,
)
from tests.support.invalid_inputs import CLASSES


def coco(**settings) -> dict:
    """What CocoMetric reports on one image with a box and its mask predicted."""
    metric = CocoMetric(**settings)
    metric.dataset_meta = {'classes': CLASSES}
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 10:40, 8:36] = True
    instance = {
        'bbox': [8, 10, 36, 40], 'bbox_label': 0, 'ignore_flag': 0,
        'mask': [[8, 10, 36, 10, 36, 40, 8, 40]],
    }  # fmt: skip
    sample = {
        'img_id': 1, 'ori_shape': (64, 64), 'instances': [instance],
        'pred_instances': {
            'bboxes': torch.tensor([[8.0, 10, 36, 40]]), 'scores': torch.tensor([0.9]),
            'labels': torch.tensor([0]), 'masks': mask,
        },
    }  # fmt: skip
    return reported(metric, sample)


# A box that overlaps the true one by 0.6.
SHIFTED = {
    'img_id': 1, 'ori_shape': (64, 64),
    'instances': [{'bbox': [0, 0, 10, 10], 'bbox_label': 0, 'ignore_flag': 0}],
    'pred_instances': {
        'bboxes': torch.tensor([[0.0, 0, 10, 6]]), 'scores': torch.tensor([0.9]),
        'labels': torch.tensor([0]),
    },
}  # fmt: skip


def iou(**settings) -> dict:
    metric = IoUMetric(**settings)
    metric.dataset_meta = {'classes': CLASSES}
    labels = torch.tensor([[0, 1], [1, 1]])
    return reported(metric, {'pred_sem_seg': {'data': labels}, 'gt_sem_seg': {'data': labels}})


def accuracy(**settings) -> dict:
    scores = torch.tensor([0.2, 0.5, 0.3])
    return reported(Accuracy(**settings), {'pred_score': scores, 'gt_label': torch.tensor([1])})


def reported(metric: BaseMetric, sample: dict) -> tuple[BaseMetric, set[str]]:
    metric.process({}, [sample])
    return metric, set(metric.evaluate(1))


CASES = {
    'boxes': (coco, dict()),
    'boxes and masks': (coco, dict(metric=['bbox', 'segm'])),
    'some items': (coco, dict(metric_items=['mAP', 'AR@100'])),
    'by class': (coco, dict(classwise=True)),
    "a prefix of one's own": (coco, dict(prefix='mine')),
    'IoU': (iou, dict()),
    'IoU and Dice': (iou, dict(iou_metrics=['mIoU', 'mDice'])),
    'F score': (iou, dict(iou_metrics=['mFscore'], prefix='val')),
    'accuracy': (accuracy, dict(topk=(1, 2))),
}


@pytest.mark.parametrize('case', CASES)
def test_exactly_the_reported_names_are_known(case):
    report, settings = CASES[case]
    metric, names = report(**settings)
    assert names
    evaluator = Evaluator(metric)
    check_awaited_metrics(evaluator, [('save_best', name) for name in names])
    with pytest.raises(UserError) as error:
        check_awaited_metrics(evaluator, [('save_best', 'absent')])
    listed = str(error.value)
    assert 'expected save_best to be a metric of val_evaluator, ' in listed
    assert sorted(names)[0].partition('/')[0] in listed
    if len(names) <= 8:
        assert set(listed.split('val_evaluator, ')[1].split('; got')[0].split(', ')) == names


class OwnMetric(BaseMetric):
    default_prefix = 'own'

    def process(self, data_batch, data_samples) -> None:
        pass

    def compute_metrics(self, results) -> dict:
        return {'anything': 1}


def test_metrics_that_are_not_known_have_a_prefix():
    evaluator = Evaluator(OwnMetric())
    check_awaited_metrics(evaluator, [('save_best', 'own/anything'), ('save_best', 'auto')])
    with pytest.raises(UserError, match=r"own/…; got 'anything'"):
        check_awaited_metrics(evaluator, [('save_best', 'anything')])


def test_an_evaluator_that_only_writes_gives_no_metric(tmp_path):
    evaluator = Evaluator(DumpResults(out_file_path=str(tmp_path / 'a.pkl')))
    with pytest.raises(UserError, match="which has none; got 'auto'"):
        check_awaited_metrics(evaluator, [('save_best', 'auto')])


def test_everything_that_waits_is_found():
    hooks = [
        CheckpointHook(save_best=['mIoU', 'aAcc']),
        CheckpointHook(),
        EarlyStoppingHook(monitor='mDice', rule='greater'),
    ]
    schedules = {'a': [dict(type='ReduceOnPlateauLR', monitor='mAcc'), dict(type='LinearLR')]}
    names = [name for _, name in awaited_metrics(hooks, schedules)]
    assert names == ['mIoU', 'aAcc', 'mDice', 'mAcc']


def test_more_classes_are_asked_for_than_there_are():
    model = nn.Module()
    model.head = SimpleNamespace(num_classes=3)
    check_metrics(model, Evaluator(Accuracy(topk=(1, 3))), 'val')
    with pytest.raises(UserError, match=r'val_evaluator\.topk of at most 3, .*got 5'):
        check_metrics(model, Evaluator(Accuracy(topk=(1, 5))), 'val')
    with pytest.raises(ValueError, match='Top-5'):
        Accuracy.calculate(torch.rand(2, 3), torch.tensor([0, 1]), topk=(1, 5))


def test_an_unknown_segmentation_metric_is_named():
    metric = IoUMetric(iou_metrics=['IoU'])
    with pytest.raises(UserError, match=r'test_evaluator\.iou_metrics of mIoU, .*got IoU'):
        check_metrics(nn.Module(), Evaluator(metric), 'test')
    with pytest.raises(KeyError):
        IoUMetric.total_area_to_metrics(*[torch.ones(2)] * 4, metrics=np.array(['IoU']).tolist())


@pytest.mark.parametrize(
    ('metric', 'needed'),
    [
        (CocoMetric(), 'instances'),
        (IoUMetric(), 'gt_sem_seg'),
        (Accuracy(), 'gt_label'),
        (IoUMetric(format_only=True, output_dir='.'), None),
        (OwnMetric(), None),
    ],
)
def test_samples_without_truth_are_refused(metric, needed):
    sample = {'data_samples': BaseDataElement()}
    if needed is None:
        check_truth(Evaluator(metric), sample, 'val')
        return
    with pytest.raises(UserError, match=f'expected {needed} in the samples of val_dataloader'):
        check_truth(Evaluator(metric), sample, 'val')
    sample['data_samples'].set_field(torch.ones(1), needed, dtype=torch.Tensor)
    check_truth(Evaluator(metric), sample, 'val')


def test_thresholds_in_a_list_count_as_the_standard_ones_do():
    """mmdet compares a number with the whole list, which fails in NumPy."""
    values = {}
    for thresholds in (None, [0.5], 0.5, [0.5, 0.75]):
        metric = CocoMetric(metric='bbox', iou_thrs=thresholds)
        check_metrics(nn.Module(), Evaluator(metric), 'val')
        metric.dataset_meta = {'classes': CLASSES}
        metric.process({}, [SHIFTED])
        values[str(thresholds)] = metric.evaluate(1)
    standard = values.pop('None')
    assert standard['coco/bbox_mAP_50'] == 1 > standard['coco/bbox_mAP_75'] == 0
    for thresholds, found in values.items():
        assert found['coco/bbox_mAP_50'] == 1, thresholds
    assert values['[0.5]']['coco/bbox_mAP'] == values['0.5']['coco/bbox_mAP'] == 1
    assert values['[0.5, 0.75]']['coco/bbox_mAP'] == 0.5
