"""Metrics that a training waits for, or a model cannot give, known before the first step.

Otherwise a wrong name ends the training after its first validation.
"""

import difflib
from collections.abc import Iterable, Iterator

import numpy as np
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmengine.structures import BaseDataElement
from torch import nn

from mmvig.messages import join_some

from .errors import UserError
from .model import predicts_masks

# mmdet's COCO metric: what it reports for each kind of result, unless `metric_items` says.
_COCO_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
_COCO_RECALLS = ('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000')
# mmseg's: what it reports for each of `iou_metrics`, besides aAcc.
_SEGMENTATION = {
    'mIoU': ('mIoU', 'mAcc'),
    'mDice': ('mDice', 'mAcc'),
    'mFscore': ('mFscore', 'mPrecision', 'mRecall'),
}
_FEWEST_COUNTS, _FEWEST_BY_CLASS = 3, 6
# What a metric compares predictions with, and which step puts it into a sample.
_TRUTH = {
    'CocoMetric': ('instances', "ann_file of the evaluator, or 'instances' in meta_keys of "
                                'PackDetInputs'),
    'OpenImagesMetric': ('instances', "a data set of Open Images, or 'instances' in meta_keys of "
                                      'PackDetInputs'),
    'VOCMetric': ('gt_instances', 'LoadAnnotations in the pipeline'),
    'IoUMetric': ('gt_sem_seg', 'LoadAnnotations in the pipeline'),
    'Accuracy': ('gt_label', 'a data set with labels, and PackInputs at the end of the pipeline'),
}  # fmt: skip


def awaited_metrics(hooks: Iterable[Hook], schedulers) -> Iterator[tuple[str, str]]:
    """Settings that name a metric of the validation, and the name.

    Args:
        hooks: of a runner.
        schedulers: of a runner, built or as its config has them.
    """
    for hook in hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best:
            for name in hook.key_indicators:
                yield 'save_best of the checkpoint hook', name
        elif isinstance(hook, EarlyStoppingHook):
            yield 'monitor of EarlyStoppingHook', hook.monitor
    for scheduler in _flat(schedulers):
        if isinstance(scheduler, ReduceOnPlateauParamScheduler):
            yield f'monitor of {type(scheduler).__name__}', scheduler.monitor
        elif isinstance(scheduler, dict) and 'ReduceOnPlateau' in str(scheduler.get('type')):
            yield f'monitor of {scheduler["type"]}', scheduler.get('monitor', 'loss')


def _flat(schedulers) -> Iterator:
    if isinstance(schedulers, dict) and 'type' not in schedulers:
        schedulers = list(schedulers.values())
    if isinstance(schedulers, list | tuple):
        for scheduler in schedulers:
            yield from _flat(scheduler)
    elif schedulers is not None:
        yield schedulers


def check_awaited_metrics(evaluator: Evaluator, awaited: Iterable[tuple[str, str]]) -> None:
    """An evaluator gives the metrics that are waited for, as far as its metrics are known here.

    Raises:
        UserError: it does not; lists those that it gives.
    """
    if type(evaluator) is not Evaluator:  # one that names metrics in its own way
        return
    known, prefixes = [], []
    for metric in evaluator.metrics:
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        names = _names(metric)
        if names is None:
            prefixes.append(prefix)
        else:
            known += [prefix + name for name in names]
    for place, name in awaited:
        if name == 'auto' and (known or prefixes):
            continue
        if name not in known and not any(name.startswith(prefix) for prefix in prefixes):
            listed = [*known, *(f'{prefix}…' for prefix in prefixes)]
            raise UserError(
                f'expected {place} to be a metric of val_evaluator, '
                f'{join_some(listed) or "which has none"}; got {name!r}{_hint(name, known)}'
            )


def _hint(name: str, known: list[str]) -> str:
    same = [full for full in known if full.endswith(f'/{name}')]
    close = same or difflib.get_close_matches(name, known, n=1)
    return f'; did you mean {close[0]!r}?' if close else ''


def _names(metric: BaseMetric) -> list[str] | None:
    """Names of the numbers a metric gives, without its prefix; None if that is not known here."""
    if _only_writes(metric):
        return []
    kind = type(metric).__name__
    if kind == 'CocoMetric':
        return _coco_names(metric)
    if kind == 'IoUMetric':
        kinds = metric.metrics if isinstance(metric.metrics, list | tuple) else [metric.metrics]
        names = [name for kind in kinds for name in _SEGMENTATION.get(kind, ())]
        return list(dict.fromkeys(['aAcc', *names]))
    if kind == 'Accuracy' and len(metric.thrs) == 1:
        return [f'top{k}' for k in metric.topk]
    return None


def _coco_names(metric) -> list[str] | None:
    if not set(metric.metrics) <= {'bbox', 'segm'}:
        return None
    items = metric.metric_items or _COCO_ITEMS
    classes = (metric.dataset_meta or {}).get('classes', ()) if metric.classwise else ()
    by_class = [f'{name}_precision' for name in classes]
    return [f'{kind}_{item}' for kind in metric.metrics for item in items] + by_class


def check_metrics(model: nn.Module, evaluator: Evaluator, split: str) -> None:
    """The metrics of a split's evaluator exist, and the model predicts what they count.

    Raises:
        UserError: names the setting, and what it can be.
    """
    place = f'{split}_evaluator'
    for metric in evaluator.metrics:
        kind, names = type(metric).__name__, getattr(metric, 'metrics', None)
        if isinstance(names, list) and 'segm' in names and not predicts_masks(model):
            raise UserError(
                f"expected a model with masks for metric='segm' of {place}, "
                f"{type(model).__name__} has no mask head: {place}.metric='bbox'"
            )
        if kind == 'CocoMetric':
            _check_coco_settings(place, metric)
        elif kind == 'IoUMetric':
            _check_known(f'{place}.iou_metrics', names, _SEGMENTATION)
        elif kind == 'Accuracy':
            _check_topk(f'{place}.topk', metric.topk, model)


def check_truth(evaluator: Evaluator, sample, split: str) -> None:
    """A sample of a split has what its metrics compare predictions with.

    Args:
        evaluator: of the split.
        sample: what its data set gives, None if it is no dict.

    Raises:
        UserError: it has not; names what the pipeline lacks.
    """
    truth = sample.get('data_samples') if isinstance(sample, dict) else None
    if not isinstance(truth, BaseDataElement):
        return
    for metric in evaluator.metrics:
        kind = type(metric).__name__
        needed, step = _TRUTH.get(kind, ('', ''))
        has_file = getattr(metric, '_coco_api', None) is not None
        if needed and needed not in truth and not has_file and not _only_writes(metric):
            raise UserError(
                f'expected {needed} in the samples of {split}_dataloader, as {kind} compares with '
                f'it: {step}'
            )


def _check_known(place: str, names, known: Iterable[str]) -> None:
    names = [names] if isinstance(names, str) else names or []
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f'expected {place} of {", ".join(known)}; got {", ".join(map(str, unknown))}'
        )


def _check_coco_settings(place: str, metric: BaseMetric) -> None:
    """Settings that mmdet's metric reads after all images are predicted.

    A list of thresholds, as configs have them, becomes what pycocotools compares with.
    """
    _check_known(f'{place}.metric_items', metric.metric_items, _COCO_ITEMS + _COCO_RECALLS)
    if 'proposal_fast' in metric.metrics:
        raise UserError(
            f"expected {place}.metric='proposal', got 'proposal_fast', which fails with NumPy 1.24 "
            'and later'
        )
    if len(metric.proposal_nums) < _FEWEST_COUNTS:
        raise UserError(
            f'expected three numbers or more in {place}.proposal_nums, as recalls are counted at '
            f'the first three of them, got {list(metric.proposal_nums)}'
        )
    metric.iou_thrs = np.atleast_1d(metric.iou_thrs)
    if metric.classwise and len(metric.iou_thrs) < _FEWEST_BY_CLASS:
        raise UserError(
            f'expected six numbers or more in {place}.iou_thrs beside classwise=True, as mmdet '
            f'shows the first and the sixth of each class, got {metric.iou_thrs.tolist()}'
        )


def _check_topk(place: str, topk: tuple[int, ...], model: nn.Module) -> None:
    count = getattr(getattr(model, 'head', None), 'num_classes', None)
    if isinstance(count, int) and max(topk) > count:
        raise UserError(
            f'expected {place} of at most {count}, the number of classes of model.head, got '
            f'{max(topk)}'
        )


def _only_writes(metric: BaseMetric) -> bool:
    return isinstance(metric, DumpResults) or getattr(metric, 'format_only', False)
