"""What a resumed training takes from where is said, and is so."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import DataLoader

from mmvig.checks import UserError
from mmvig.engine.accumulated_batches import count_accumulated
from mmvig.engine.resume.select import newest_checkpoint
from mmvig.engine.runner import CheckedRunner
from tests.support.cli import forget_runs

SCHEDULES = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
    dict(type='MultiStepLR', milestones=[2, 3], gamma=0.1, by_epoch=True, end=9),
]


class Toy(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, inputs, mode):
        return {'loss_toy': self.linear(torch.stack(list(inputs))).square().mean()}


def make_runner(
    place: Path,
    epochs: int = 1,
    schedules=SCHEDULES,
    optimizer=torch.optim.AdamW,
    batch: int = 1,
    checkpoint: dict | None = None,
    settings: dict | None = None,
    **kwargs,
) -> CheckedRunner:
    """A training of a toy model on four samples."""
    forget_runs()
    model, data = Toy(), [dict(inputs=torch.ones(2) * i) for i in range(4)]
    return CheckedRunner(
        model,
        str(place),
        train_dataloader=DataLoader(data, batch_size=batch, collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=OptimWrapper(optimizer(model.parameters(), **(settings or dict(lr=0.1)))),
        param_scheduler=schedules,
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', **(checkpoint or {}))),
        experiment_name=str(place),
        **kwargs,
    )


@pytest.fixture(scope='module')
def first(tmp_path_factory) -> Path:
    """The checkpoint after one epoch of four iterations."""
    place = tmp_path_factory.mktemp('first')
    make_runner(place).train()
    return place / 'epoch_1.pth'


def resume(first: Path, place: Path, **kwargs) -> tuple[CheckedRunner, list[str]]:
    """The training after its end, and what was said when it resumed."""
    runner, said = make_runner(place, load_from=str(first), resume=True, **kwargs), []
    warn = runner.logger.warning
    runner.logger.warning = lambda text, *args: said.append(text) or warn(text, *args)
    runner.train()
    return runner, [text.partition(': ')[2] for text in said if text.startswith('resuming from')]


def test_nothing_is_said_of_what_is_the_same(first, tmp_path):
    """But for the length, without which nothing would be left."""
    _, said = resume(first, tmp_path, epochs=2)
    assert said == ['taken from the config: train_cfg.max_epochs 2 (checkpoint: 1)']


def test_settings_of_the_optimizer_are_the_checkpoints(first, tmp_path):
    settings = dict(lr=0.5, weight_decay=0.3, betas=(0.8, 0.9))
    runner, said = resume(first, tmp_path, epochs=2, settings=settings)
    assert said[0].startswith(
        'taken from the checkpoint and not from the config: lr 0.1 (config: 0.5), '
        'betas (0.9, 0.999) (config: (0.8, 0.9)), weight_decay 0.01 (config: 0.3). To train with '
        'the settings of the config, start from its weights: load_from without --resume'
    )
    (group,) = runner.optim_wrapper.param_groups
    assert (group['initial_lr'], group['weight_decay'], group['betas']) == (0.1, 0.01, (0.9, 0.999))


def test_settings_of_schedules_are_the_checkpoints(first, tmp_path):
    changed = [dict(SCHEDULES[0], end=8), dict(SCHEDULES[1], milestones=[5], gamma=0.5)]
    runner, said = resume(first, tmp_path, epochs=2, schedules=changed)
    assert 'param_scheduler.0.end 4 (config: 8)' in said[0]
    assert 'param_scheduler.1.milestones {2: 1, 3: 1} (config: {5: 1})' in said[0]
    assert 'param_scheduler.1.gamma 0.1 (config: 0.5)' in said[0]
    warmup, steps = runner.param_schedulers
    assert (warmup.end, steps.gamma, dict(steps.milestones)) == (4, 0.1, {2: 1, 3: 1})


def test_an_end_that_follows_the_length_is_kept_too(first, tmp_path):
    """A schedule without an end of its own would go on in a longer training."""
    endless = [SCHEDULES[0], {k: v for k, v in SCHEDULES[1].items() if k != 'end'}]
    make_runner(tmp_path / 'a', schedules=endless).train()
    _, said = resume(tmp_path / 'a/epoch_1.pth', tmp_path / 'b', epochs=2, schedules=endless)
    assert 'the config: param_scheduler.1.end 1 (config: 2). To train' in said[0]


@pytest.mark.parametrize(
    ('schedules', 'words'),
    [
        (SCHEDULES[:1], 'the progress of the first 1 schedules (checkpoint: 2, config: 1)'),
        (
            [SCHEDULES[0], dict(type='ExponentialLR', gamma=0.9)],
            'the progress of param_scheduler.1, which was of another type',
        ),
    ],
)
def test_other_schedules_are_told(schedules, words, first, tmp_path):
    assert words in resume(first, tmp_path, epochs=2, schedules=schedules)[1][0]


def test_a_training_that_is_over_and_epochs_of_another_length_are_told(first, tmp_path):
    _, said = resume(first, tmp_path / 'over')
    assert said == ['nothing is left to train: the checkpoint is of epoch 1 of 1']
    _, said = resume(first, tmp_path / 'length', epochs=2, batch=4)
    (length,) = (text for text in said if 'an epoch now has' in text)
    assert length.startswith('an epoch now has 1 iterations, and the checkpoint is of epoch 1')


def test_missing_states_are_told(tmp_path):
    states = dict(save_optimizer=False, save_param_scheduler=False)
    make_runner(tmp_path / 'a', checkpoint=states).train()
    _, said = resume(tmp_path / 'a/epoch_1.pth', tmp_path / 'b', epochs=2)
    assert 'the checkpoint has no state of the optimizer, which starts anew' in said
    assert 'the checkpoint has no state of the schedules, which start anew' in said


def test_averages_that_become_weights_are_told(tmp_path):
    make_runner(tmp_path / 'a', custom_hooks=[EMAHook()]).train()
    words = 'the weights of the checkpoint are averages (EMAHook)'
    for hooks, told in (([], True), ([EMAHook()], False)):
        place = tmp_path / f'b{told}'
        _, said = resume(tmp_path / 'a/epoch_1.pth', place, epochs=2, custom_hooks=hooks)
        assert any(text.startswith(words) for text in said) == told


@pytest.mark.parametrize(
    ('optimizer', 'settings', 'words'),
    [
        (torch.optim.SGD, dict(lr=0.1), 'with the settings amsgrad, .*SGD has dampening'),
        (
            lambda params, lr: torch.optim.AdamW([{'params': [p]} for p in params], lr=lr),
            dict(lr=0.1),
            'of 1 groups with 2 parameters to resume, .*makes 2 groups with 2 parameters',
        ),
    ],
)
def test_a_state_of_another_optimizer_is_refused(optimizer, settings, words, first, tmp_path):
    with pytest.raises(UserError, match=words):
        resume(first, tmp_path, epochs=2, optimizer=optimizer, settings=settings)


@pytest.mark.parametrize(
    ('change', 'missing'),
    [
        (lambda saved: {'state_dict': saved['state_dict']}, 'meta.epoch, meta.iter, message_hub'),
        (lambda saved: saved['state_dict'], 'meta.epoch, meta.iter, message_hub'),
        (lambda saved: {k: v for k, v in saved.items() if k != 'message_hub'}, 'message_hub'),
        (lambda saved: saved | {'meta': dict(saved['meta'], epoch=None)}, 'meta.epoch'),
    ],
)
def test_weights_alone_are_refused(change, missing, first, tmp_path):
    torch.save(change(torch.load(first, weights_only=False)), tmp_path / 'bad.pth')
    words = f'{tmp_path}/bad.pth has no {missing}: its weights alone are read, .*without --resume'
    with pytest.raises(UserError, match=words):
        resume(tmp_path / 'bad.pth', tmp_path / 'run')


def test_weights_in_the_work_dir_are_not_called_damaged(tmp_path):
    torch.save({'state_dict': {}}, tmp_path / 'weights.pth')
    words = 'weights alone are no training to go on with (weights.pth): starting anew'
    assert newest_checkpoint(str(tmp_path)) == (None, words)
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'weights.pth').read_bytes()[:50])
    both = f'no checkpoint is whole (cut.pth) and {words}'
    assert newest_checkpoint(str(tmp_path)) == (None, both)


def test_no_config_of_a_checkpoint_is_run(first, tmp_path):
    """mmengine runs the text of old checkpoints to look for a number of GPUs."""
    text = f'__import__("os").mkdir({str(tmp_path / "ran")!r})\ngpu_ids = [0]\n'
    saved = torch.load(first, weights_only=False)
    saved['meta']['config'] = text
    torch.save(saved, tmp_path / 'old.pth')
    resume(tmp_path / 'old.pth', tmp_path / 'run', epochs=2)
    assert not (tmp_path / 'ran').exists()
    with suppress(Exception):
        Config.fromstring(text, '.py')
    assert (tmp_path / 'ran').exists(), 'the text does run where it is read as a config'


@pytest.mark.parametrize('accumulated', [1, 4])
def test_accumulated_batches_count_for_the_learning_rate(accumulated):
    """The base is of images in a step, of which there are batch size × accumulated batches."""
    cfg = Config(
        dict(
            auto_scale_lr=dict(enable=True, base_batch_size=16),
            optim_wrapper=dict(accumulative_counts=accumulated, optimizer=dict(lr=0.1)),
        )
    )
    scaled, note = count_accumulated(cfg)
    assert 2 / scaled.auto_scale_lr.base_batch_size == 2 * accumulated / 16
    assert bool(note) == (accumulated > 1)
    assert cfg.auto_scale_lr.base_batch_size == 16
