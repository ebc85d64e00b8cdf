"""Samplers that fit their loops, and data sets that fit one another."""

from collections.abc import Sequence

from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader, Dataset

from mmvig.messages import join_some

from .errors import UserError

ENDLESS = {'InfiniteSampler', 'InfiniteGroupBatchSampler', 'MultiSourceSampler'}


def check_sampler(loop: BaseLoop, split: str) -> None:
    """A loop over epochs, or over all images once, has a sampler that ends.

    With another one its first epoch lasts for ever, without validation or checkpoints.

    Raises:
        UserError: it has not.
    """
    loader = getattr(loop, 'dataloader', None)
    if isinstance(loop, IterBasedTrainLoop) or not isinstance(loader, DataLoader):
        return
    batches = loader.batch_sampler
    for sampler in (batches, getattr(batches, 'sampler', None)):
        if ENDLESS & {kind.__name__ for kind in type(sampler).__mro__}:
            other = ", or train_cfg.type='IterBasedTrainLoop' with max_iters"
            raise UserError(
                f'expected a sampler of {split}_dataloader that comes to an end, as '
                f"{type(loop).__name__} waits for it: sampler.type='DefaultSampler'"
                f'{other if split == "train" else ""}; got {type(sampler).__name__}'
            )


def check_same_classes(outer: Dataset, inner: Sequence[Dataset]) -> None:
    """Data sets that are joined have the same classes in the same order.

    mmdet's `ConcatDataset` takes any, and label 1 of one set and label 1 of another for the same
    class.

    Raises:
        UserError: two have others, and `ignore_keys` of the data set does not allow it.
    """
    if 'classes' in (getattr(outer, 'ignore_keys', None) or ()):
        return
    named = [list(classes) for each in inner if (classes := _classes(each))]
    for classes in named[1:]:
        if classes != named[0]:
            raise UserError(
                'expected the same classes, in the same order, in data sets that are joined, as '
                f'their labels are counted alike, got {join_some(named[0])} and '
                f'{join_some(classes)}'
            )


def _classes(dataset: Dataset) -> Sequence[str] | None:
    classes = dataset.metainfo.get('classes')
    return classes if isinstance(classes, list | tuple) else None
