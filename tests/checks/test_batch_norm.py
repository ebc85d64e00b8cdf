"""Batch norms that would get one value are found where torch refuses them, and nowhere else."""

import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmseg.registry import MODELS as SEGMENTATION
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mmvig.checks import UserError
from mmvig.checks.batch_norm import check_batch_norms
from mmvig.checks.errors import explain

COMMON = dict(channels=8, num_classes=3, loss_decode=dict(type='CrossEntropyLoss'))
MAPS = dict(in_channels=[8, 8, 8, 8], in_index=[0, 1, 2, 3])
ONE = dict(in_channels=8, in_index=3)
BN, GN = dict(type='BN'), dict(type='GN', num_groups=2)
HEADS = {
    'UPerHead': dict(type='UPerHead', norm_cfg=BN, **MAPS),
    'PSPHead': dict(type='PSPHead', norm_cfg=BN, **ONE),
    'PSPHead, GN': dict(type='PSPHead', norm_cfg=GN, **ONE),
    'PSPHead, larger pools': dict(type='PSPHead', norm_cfg=BN, pool_scales=(2, 3), **ONE),
    'ASPPHead': dict(type='ASPPHead', norm_cfg=BN, dilations=(1, 2), **ONE),
    'FCNHead': dict(type='FCNHead', norm_cfg=BN, **ONE),
}


class Segmentor(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.decode_head = head

    def forward(self, batch: int) -> torch.Tensor:
        return self.decode_head([torch.rand(batch, 8, 6, 6) for _ in range(4)])


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4))

    def forward(self, batch: int) -> torch.Tensor:
        return self.neck(torch.rand(batch, 8))


def models():
    for name, head in HEADS.items():
        yield pytest.param(
            lambda head=head: Segmentor(SEGMENTATION.build(dict(COMMON, _scope_='mmseg', **head))),
            id=name,
        )
    yield pytest.param(Classifier, id='BatchNorm1d')


def loader(
    length: int, size: int, drop_last: bool = False, sampler=SequentialSampler
) -> DataLoader:
    data = list(range(length))
    return DataLoader(data, batch_sampler=BatchSampler(sampler(data), size, drop_last))


def refuses(check) -> bool:
    try:
        check()
    except (ValueError, UserError):
        return True
    return False


@pytest.mark.parametrize('make', models())
@pytest.mark.parametrize('mode', ['train', 'eval', 'frozen'])
def test_what_torch_refuses_is_found(make, mode):
    model = make().train(mode != 'eval')
    if mode == 'frozen':  # as `norm_eval` does
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()
    for batch in (1, 2):
        found = refuses(lambda batch=batch: check_batch_norms(model, loader(4, batch)))
        assert found == refuses(lambda batch=batch: model(batch))


@pytest.mark.parametrize(
    ('length', 'size', 'drop_last', 'sampler', 'words'),
    [
        (8, 4, False, SequentialSampler, None),
        (9, 4, False, SequentialSampler, 'the last batch of an epoch has one'),
        (9, 4, True, SequentialSampler, None),
        (9, 4, False, InfiniteSampler, None),
        (9, 1, True, SequentialSampler, 'batches have one'),
        (10, 4, False, SequentialSampler, None),
    ],
)
def test_the_smallest_batch_counts(length, size, drop_last, sampler, words):
    model, batches = Classifier(), loader(length, size, drop_last, sampler)
    if words is None:
        check_batch_norms(model, batches)
    else:
        with pytest.raises(UserError, match=words):
            check_batch_norms(model, batches)


def test_what_was_not_known_before_is_explained():
    """A batch norm of one's own, found by no rule, in the middle of a training."""
    with pytest.raises(ValueError, match='Expected more than 1 value') as error:
        nn.BatchNorm2d(4)(torch.rand(1, 4, 1, 1))
    assert 'drop_last=True' in explain(error.value, building=False)
    assert explain(ValueError('another'), building=False) is None
