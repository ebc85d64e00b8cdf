"""The label of a mask that no loss and no metric counts: 255, unless a config of mmseg says."""

from collections.abc import Collection, Iterator

from mmengine.evaluator import Evaluator
from torch import nn
from torch.utils.data import Dataset

from .errors import UserError

DEFAULT = 255  # what `reduce_zero_label` makes of label 0


def ignored_labels(model: nn.Module) -> dict[str, int | None]:
    """The label that each head of a segmentor ignores, by the head's place in the config."""
    found = {}
    for name in ('decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        several = isinstance(head, nn.ModuleList)
        for i, one in enumerate(head if several else [head]):
            if hasattr(one, 'ignore_index'):
                found[f'model.{name}{f".{i}" if several else ""}'] = one.ignore_index
    return found


def check_ignored_label(model: nn.Module, dataset: Dataset) -> Collection[int]:
    """Heads ignore the same label, and with it what a data set of mmseg pads and leaves out.

    Returns:
        Collection[int]: the labels that are ignored.

    Raises:
        UserError: names the two settings that differ.
    """
    heads = ignored_labels(model)
    if not heads:
        return (DEFAULT,)
    (place, label), *others = heads.items()
    for other, its in others:
        if its != label:
            raise UserError(
                f'expected {other}.ignore_index={label}, as in {place}, got {its}: the heads learn '
                'from the same masks'
            )
    if dataset.reduce_zero_label and label != DEFAULT:
        raise UserError(
            f'expected {place}.ignore_index={DEFAULT}, what reduce_zero_label=True makes of label '
            f'0, got {label}'
        )
    if label is None:
        return ()
    classes = len(dataset.metainfo.get('classes') or ())
    for setting, pad in _paddings(model, dataset):
        if pad != label and not 0 <= pad < classes:
            raise UserError(
                f'expected {setting}={label}, the label that {place} ignores, got {pad}'
            )
    return (label,)


def _paddings(model: nn.Module, dataset: Dataset) -> Iterator[tuple[str, int]]:
    """Settings with labels that are written where an image has none, and the labels."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    if getattr(preprocessor, 'size', None) or getattr(preprocessor, 'size_divisor', None):
        yield 'model.data_preprocessor.seg_pad_val', preprocessor.seg_pad_val
    for step in dataset.pipeline.transforms:
        pad = getattr(step, 'pad_val', None)
        if type(step).__name__ == 'Pad' and isinstance(pad, dict):
            yield "pad_val['seg'] of Pad", pad.get('seg', DEFAULT)
        elif hasattr(step, 'seg_pad_val'):
            yield f'seg_pad_val of {type(step).__name__}', step.seg_pad_val


def differing_metrics(model: nn.Module, evaluator: Evaluator) -> list[str]:
    """What metrics count that the heads ignore, or the other way round, in words."""
    labels = set(ignored_labels(model).values())
    if len(labels) != 1:
        return []
    (label,) = labels
    return [
        f'{type(metric).__name__} leaves out label {metric.ignore_index}, the loss label {label}: '
        f'ignore_index={label} of the evaluator'
        for metric in evaluator.metrics
        if getattr(metric, 'ignore_index', label) != label
    ]
