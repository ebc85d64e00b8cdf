"""Losses that are always 0 are refused, and only those: told by the losses themselves."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample
from mmseg.models import FCNHead
from torch import nn

from mmvig.checks import UserError
from mmvig.checks.losses import check_losses


def seg_loss(**settings) -> tuple[nn.Module, torch.Tensor]:
    """A head of mmseg, and its loss on labels of both kinds."""
    init_default_scope('mmseg')
    loss = dict(type='CrossEntropyLoss', **settings.get('loss', {}))
    head = FCNHead(in_channels=4, channels=4, num_convs=0, concat_input=False, loss_decode=loss,
                   **{key: settings[key] for key in settings if key != 'loss'})  # fmt: skip
    labels = torch.tensor([[0, settings['num_classes'] - 1], [255, 0]]).repeat(2, 1, 1)
    logits = head.conv_seg(torch.randn(2, 4, 2, 2))
    return head, head.loss_decode(logits, labels, ignore_index=255)


def cls_loss(**settings) -> tuple[nn.Module, torch.Tensor]:
    init_default_scope('mmpretrain')
    head = LinearClsHead(in_channels=4, **settings)
    sample = DataSample().set_gt_label(0)
    return head, head.loss((torch.randn(1, 4),), [sample])['loss']


SOFT = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')


@pytest.mark.parametrize(
    ('make', 'settings', 'learns'),
    [
        (seg_loss, dict(num_classes=2), True),
        (seg_loss, dict(num_classes=1), False),
        (seg_loss, dict(num_classes=1, loss=dict(use_sigmoid=True)), True),
        (seg_loss, dict(num_classes=2, out_channels=1, loss=dict(use_sigmoid=True)), True),
        (cls_loss, dict(num_classes=2), True),
        (cls_loss, dict(num_classes=1), False),
        (cls_loss, dict(num_classes=1, loss=SOFT), False),
    ],
)
def test_a_loss_without_a_gradient_is_refused(make, settings, learns):
    torch.manual_seed(0)
    head, loss = make(**settings)
    loss.backward()
    gradient = max(p.grad.abs().max() for p in head.parameters() if p.grad is not None)
    assert (gradient > 1e-6) == learns
    model = nn.ModuleDict({'head': head})
    if learns:
        check_losses(model)
    else:
        with pytest.raises(UserError, match='nothing is learned'):
            check_losses(model)
