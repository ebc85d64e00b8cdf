"""Which classes occur in the data sets of a loader, asked before the first step.

A class that no label stands for is learned by no training, which goes on without a word: labels
that are all ignored, masks of 0 and 255, lists that count from 1.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from mmengine.dist import is_main_process
from torch.utils.data import Dataset

from mmvig.messages import join_some

from .dataset_config import is_coco
from .errors import UserError
from .label_maps import labels_of, loader_of, why_absent
from .lists import evenly
from .pipeline import is_class

# Of larger sets this many samples are looked at, evenly spread: seconds on one core.
MASKS = 200
LABELS = 20_000
BOXES = 5_000
# Of so many classes some are too rare for a part of a set.
MANY_CLASSES = 20


class _Labels(NamedTuple):
    """How the labels of a data set are read.

    Attributes:
        what: a sample, in words.
        most: number of samples to look at.
        read: labels of the sample at an index, which may be ignored ones; None if unknown.
    """

    what: str
    most: int
    read: Callable[[int], Collection[int] | None]


def check_occurrence(
    datasets: Sequence[Dataset], place: str, ignored: Collection[int] = (255,)
) -> str | None:
    """Some class occurs in the data sets of a loader.

    Args:
        datasets: those inside any wrappers, with pipelines of their own.
        place: of the data, in the words of the config.
        ignored: labels of masks that the losses leave out.

    Returns:
        A note of classes that do not occur, and how many samples were looked at.

    Raises:
        UserError: none does, or a label of an image is none of a class.
    """
    if not datasets or not is_main_process():
        return None
    readers = [_reader(dataset, ignored) for dataset in datasets]
    classes = datasets[0].metainfo.get('classes')
    if classes is None or isinstance(classes, str) or None in readers:
        return None
    seen: set[int] = set()
    looked, total = 0, sum(map(len, datasets))
    share = -(-readers[0].most // len(datasets))
    for dataset, reader in zip(datasets, readers, strict=True):
        for i in evenly(len(dataset), share):
            if (labels := reader.read(i)) is not None:
                looked += 1
                seen.update(labels)
    seen = {label for label in seen if is_class(label, len(classes)) and label not in ignored}
    absent = [c for i, c in enumerate(classes) if i not in seen and i not in ignored]
    rare = looked < total and len(classes) > MANY_CLASSES and len(seen) * 2 >= len(classes)
    if not looked or not absent or rare:
        return None
    what = readers[0].what
    part = f'{looked} {what}' if looked == total else f'{looked} {what} looked at of {total}'
    hint = _hint(datasets[0], ignored)
    if not seen and not all(dataset.test_mode for dataset in datasets):
        raise UserError(
            f'expected labels of {join_some(classes)} in {place}, none of the {part} has any: all '
            f'are ignored{hint}'
        )
    return f'{place}: no label of {join_some(absent)} in the {part}{hint}'


def _hint(dataset: Dataset, ignored: Collection[int]) -> str:
    """What the files have, of masks."""
    if not hasattr(dataset, 'reduce_zero_label'):
        return ''
    return why_absent(dataset, evenly(len(dataset), 8), ignored)


def _reader(dataset: Dataset, ignored: Collection[int]) -> _Labels | None:
    """How the labels of a data set of the hosts are read; None for any other, or without labels."""
    if not len(dataset):
        return None
    if hasattr(dataset, 'reduce_zero_label'):
        loader = loader_of(dataset)
        if loader is None or dataset.backend_args:
            return None
        return _Labels('masks', MASKS, lambda i: labels_of(dataset, loader, i, ignored))
    info = dataset.get_data_info(0)
    if 'gt_label' in info and not isinstance(info['gt_label'], dict):  # a dict has several tasks
        count = len(dataset.metainfo.get('classes') or ())  # which it copies
        return _Labels('images', LABELS, lambda i: _image_labels(dataset, i, count))
    if 'instances' in info and not is_coco(type(dataset)):  # COCO files are told by `data`
        return _Labels('images', BOXES, lambda i: _box_labels(dataset.get_data_info(i)))
    return None


def _image_labels(dataset: Dataset, i: int, count: int) -> list[int]:
    info = dataset.get_data_info(i)
    labels = info['gt_label']
    labels = list(labels) if hasattr(labels, '__iter__') else [labels]
    for label in labels:
        if not is_class(label, count):
            raise UserError(
                f'expected labels 0 … {count - 1} for {count} classes, {info["img_path"]} has '
                f'{label!r}'
            )
    return labels


def _box_labels(info: dict) -> set[int]:
    """Labels of the boxes to train on."""
    return {
        instance['bbox_label']
        for instance in info['instances']
        if 'bbox_label' in instance and not instance.get('ignore_flag')
    }
