"""A label other than 255 that a config of mmseg ignores."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmvig.checks import UserError
from mmvig.engine.runner import CheckedRunner
from tests.support import invalid_inputs as made
from tests.support.cli import forget_runs

LABEL = 9


def config(**settings) -> Config:
    """seg.py, whose masks have the labels 0, 1 and `LABEL`, which is ignored."""
    cfg = Config.fromfile('seg.py')
    cfg.work_dir = 'run'
    made.mask(lambda labels: np.array([0, 0, 1, LABEL], np.uint8)[labels])(made.Path('.'))
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.reduce_zero_label = False
        for step in dataset.pipeline:
            step.pop('reduce_zero_label', None)
    changes = {
        'model.decode_head.ignore_index': LABEL,
        'model.auxiliary_head.ignore_index': LABEL,
        'model.data_preprocessor.seg_pad_val': LABEL,
        'val_evaluator.ignore_index': LABEL,
    }
    cfg.merge_from_dict(changes | settings)
    return cfg


def runner(cfg: Config) -> CheckedRunner:
    forget_runs()
    return CheckedRunner.from_cfg(cfg)


def test_its_pixels_do_not_count(input_folder):
    """The loss of a batch does not depend on what is predicted where the label is."""
    built = runner(config())
    head = built.model.decode_head
    labels = torch.tensor([[[0, 1, LABEL, LABEL]]])
    losses = []
    for ignored_logit in (0.0, 5.0):
        logits = torch.zeros(1, 3, 1, 4)
        logits[..., 2:] += torch.tensor([ignored_logit, 0, 0]).view(1, 3, 1, 1)
        losses.append(head.loss_decode(logits, labels, ignore_index=head.ignore_index))
    assert torch.equal(*losses)
    batch = next(iter(built.build_dataloader(built._train_dataloader)))
    seen = {int(i) for sample in batch['data_samples'] for i in sample.gt_sem_seg.data.unique()}
    assert LABEL in seen
    assert seen <= {0, 1, LABEL}
    loss = built.model(**built.model.data_preprocessor(batch, True), mode='loss')
    assert all(torch.isfinite(value) for value in loss.values())


def test_other_labels_are_still_refused(input_folder):
    built = runner(config(**{'model.decode_head.ignore_index': 8,
                             'model.auxiliary_head.ignore_index': 8,
                             'model.data_preprocessor.seg_pad_val': 8}))  # fmt: skip
    with pytest.raises(Exception, match=rf'expected labels 0 … 2 \(and 8, ignored\).*has {LABEL}'):
        list(built.build_dataloader(built._train_dataloader))


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (
            {'model.data_preprocessor.seg_pad_val': 255},
            'seg_pad_val=9, the label that model.decode_head ignores, got 255',
        ),
        (
            {'train_dataloader.dataset.pipeline.3': dict(type='RandomRotate', degree=9)},
            'seg_pad_val of RandomRotate=9, .*got 255',
        ),
    ],
)
def test_padding_is_ignored_too(settings, words, input_folder):
    built = runner(config(**settings))
    with pytest.raises(UserError, match=words):
        built.build_dataloader(built._train_dataloader)


def test_a_metric_that_counts_it_is_told(input_folder, capfd):
    built = runner(config(**{'val_evaluator.ignore_index': 255}))
    built.build_val_loop(built._val_loop)
    assert 'IoUMetric leaves out label 255, the loss label 9' in capfd.readouterr().out
