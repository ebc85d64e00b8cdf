"""Loops that would never end, and labels of joined data sets that mean different classes."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import BatchSampler, DataLoader

from mmvig.checks import UserError
from mmvig.checks.sampling import check_same_classes, check_sampler


class Loop:
    def __init__(self, sampler: type) -> None:
        data = list(range(4))
        self.dataloader = DataLoader(data, batch_sampler=BatchSampler(sampler(data), 2, False))


class Iterations(Loop, IterBasedTrainLoop):
    pass


def test_a_sampler_without_an_end_is_refused_where_it_is_waited_for():
    check_sampler(Loop(DefaultSampler), 'train')
    check_sampler(Iterations(InfiniteSampler), 'train')
    for split, words in (('train', 'IterBasedTrainLoop'), ('val', 'val_dataloader')):
        with pytest.raises(UserError, match=words):
            check_sampler(Loop(InfiniteSampler), split)


def data(*classes: str) -> SimpleNamespace:
    return SimpleNamespace(metainfo={'classes': classes})


def test_joined_data_sets_count_labels_alike():
    outer = SimpleNamespace(ignore_keys=[])
    check_same_classes(outer, [data('a', 'b'), data('a', 'b'), SimpleNamespace(metainfo={})])
    for other in (data('b', 'a'), data('a'), data('a', 'c')):
        with pytest.raises(UserError, match='in the same order'):
            check_same_classes(outer, [data('a', 'b'), other])
        check_same_classes(SimpleNamespace(ignore_keys=['classes']), [data('a', 'b'), other])
