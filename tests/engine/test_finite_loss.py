"""A loss or weight that is not finite ends a training, says where it began, and is not saved."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import DataLoader

from mmvig.cli.train import apply_hooks
from mmvig.engine.hooks.finite_loss import FiniteLossHook, NonFiniteError
from mmvig.engine.hooks.first_non_finite import first_non_finite, is_finite
from tests.support.cli import forget_runs
from tests.support.commands import ROOT

NAN = float('nan')
SHORT = (
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.dataset.indices=2',
    'randomness.seed=0',
)
DET = (
    ROOT / 'configs/det/vig_maskrcnn_mini.py',
    *('train_dataloader.dataset.indices=2', 'train_dataloader.batch_size=1'),
    *('train_cfg.max_epochs=3', 'default_hooks.checkpoint.max_keep_ckpts=5'),
)
SEG = (
    ROOT / 'configs/seg/vig_upernet_mini.py',
    *('train_dataloader.dataset.indices=6', 'train_dataloader.batch_size=2'),
    *('train_cfg.max_iters=6', 'default_hooks.checkpoint.interval=2'),
)
TRAININGS = {  # config and options, the checkpoint after the second iteration, its epoch
    'det': (DET, 'epoch_1.pth', 2),
    'seg': (SEG, 'iter_2.pth', 1),
}
WEIGHT = 'backbone.stages.1.blocks.0.mlp.fc1.weight'


@pytest.mark.parametrize('task', TRAININGS)
@pytest.mark.parametrize('poison', ['weight', 'image'])
def test_training_stops_and_keeps_the_last_good_checkpoint(
    task, poison, workspace, tmp_path, cli, monkeypatch
):
    (base, *options), good, epoch = TRAININGS[task]
    hook = dict(type='Poison', at=3, weight=WEIGHT if poison == 'weight' else None)
    config = tmp_path / 'poisoned.py'
    config.write_text(
        f'_base_ = {str(base)!r}\n'
        "custom_imports = dict(imports=['tests.support.fault_hooks'])\n"
        f'custom_hooks = [{hook}]\n'
    )
    monkeypatch.chdir(workspace)
    options = ('--work-dir', tmp_path, '--cfg-options', *SHORT, *options)
    message = cli.user_error('train', config, *options)

    assert f'iteration 3, epoch {epoch}: the loss is not finite (loss, ' in message
    images = re.search(r'for the images ([^;]*)', message)[1].split(', ')
    assert all(Path(workspace, image).is_file() for image in images)
    if poison == 'weight':
        first = 'the first value that is not finite is the output of '
        assert first + 'backbone.stages.1.blocks.0.mlp.fc1 (Linear)' in message
        assert f'weights are not finite: {WEIGHT}' in message
        assert 'lower learning rate' in message
    else:
        assert f'not finite were the images {images[-1]}.' in message
        assert 'leave them out' in message

    assert [path.name for path in tmp_path.glob('*.pth')] == [good]
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == good
    assert str(tmp_path / good) in message
    saved = torch.load(tmp_path / good, weights_only=False)
    assert is_finite(saved['state_dict'])
    (log,) = tmp_path.glob('*/*.log')
    assert message in log.read_text()


class Toy(BaseModel):
    """One linear layer; `fault(model, x)` makes the loss of it."""

    def __init__(self, fault=lambda model, x: x.square().mean()) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.fault = fault
        self.calls = 0

    def forward(self, inputs, data_samples, mode):
        self.calls += 1
        return {'loss_toy': self.fault(self, self.linear(torch.stack(list(inputs))))}


def train(
    model: Toy, work_dir, wrapper=OptimWrapper, epochs: int = 3, enabled: bool = True, **kwargs
) -> Runner:
    """Epochs of one iteration, a checkpoint after each."""
    sample = BaseDataElement(metainfo=dict(img_path='a.jpg'))
    image = dict(inputs=torch.ones(2), data_samples=sample)
    forget_runs()
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=DataLoader([image], collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=wrapper(torch.optim.SGD(model.parameters(), lr=0.1), **kwargs),
        custom_hooks=[FiniteLossHook(enabled)],
        experiment_name=str(work_dir),
    )
    runner.train()
    return runner


def in_third_call(value):
    return lambda model, x: x.square().mean() + (value if model.calls >= 3 else 0)


@pytest.mark.parametrize('value', [NAN, float('inf')])
def test_no_step_is_taken_with_a_non_finite_loss(value, tmp_path):
    model = Toy(in_third_call(value))
    with pytest.raises(NonFiniteError, match='iteration 3, epoch 3: .*the output of the model'):
        train(model, tmp_path)
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['state_dict']
    assert torch.equal(saved['linear.weight'], model.linear.weight)
    assert not (tmp_path / 'epoch_3.pth').exists()


def test_accumulated_losses_are_checked(tmp_path):
    """Gradients of several iterations are summed before a step."""
    model = Toy(lambda model, x: x.square().mean() + (NAN if model.calls == 2 else 0))
    with pytest.raises(NonFiniteError, match='epoch 2: the loss was not finite, but is when'):
        train(model, tmp_path, accumulative_counts=3)


def test_infinite_gradients_do_not_stop_training(tmp_path):
    """Dynamic loss scaling makes gradients overflow, and leaves out the step by itself."""

    class Skipping(OptimWrapper):
        def step(self, **kwargs) -> None:
            grads = [p.grad for group in self.param_groups for p in group['params']]
            if is_finite(grads):
                super().step(**kwargs)
            else:
                skipped.append(True)

    skipped = []
    model = Toy(lambda model, x: (0 * x).sqrt().sum() if model.calls == 2 else x.square().mean())
    runner = train(model, tmp_path, Skipping)
    assert skipped == [True]
    assert model.calls == 3
    assert 'backward' not in vars(runner.optim_wrapper)
    assert (tmp_path / 'epoch_3.pth').is_file()


def test_non_finite_weights_are_not_saved(tmp_path):
    """The loss is finite, its gradient is not, and the step takes it into the weights."""
    model = Toy(lambda model, x: (0 * x).sqrt().sum() if model.calls == 2 else x.square().mean())
    with pytest.raises(
        NonFiniteError, match='weights are not finite: linear.weight, linear.bias. No checkpoint'
    ):
        train(model, tmp_path)
    assert not is_finite(list(model.parameters()))
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_the_diagnosis_repeats_the_random_numbers(tmp_path):
    """What one draw in four breaks is found at the first repetition."""

    def fault(model, x):
        model.drawn.append(torch.rand(()).item())
        return model.linear(x / (model.drawn[-1] > 0.25)).square().mean()

    for seed in range(5):
        torch.manual_seed(seed)
        model = Toy(fault)
        model.drawn = []
        with pytest.raises(NonFiniteError, match='the input of linear .*computed by the model'):
            train(model, tmp_path / str(seed), epochs=40)
        assert model.drawn[-1] == model.drawn[-2] <= 0.25


def test_a_config_can_turn_the_hook_off(tmp_path):
    model = Toy(lambda model, x: x.square().mean() * (NAN if model.calls >= 3 else 1))
    runner = train(model, tmp_path, enabled=False)
    assert runner.iter == 3
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)['state_dict']
    assert not is_finite(saved)


class Derived(FiniteLossHook):
    pass


PATH = 'mmvig.engine.hooks.finite_loss.FiniteLossHook'


@pytest.mark.parametrize(
    'hook',
    [
        None,
        dict(type='mmvig.FiniteLossHook', enabled=False),
        dict(type=FiniteLossHook),
        dict(type=PATH, enabled=False),
        dict(type=Derived),
    ],
)
def test_train_adds_the_hook_unless_the_config_names_it(hook):
    cfg = Config(dict(custom_hooks=[hook] if hook else None, default_hooks=dict(checkpoint=None)))
    apply_hooks(cfg)
    assert cfg.custom_hooks == [hook or dict(type='mmvig.FiniteLossHook')]


def test_a_config_refuses_the_hook():
    """In one line, or by `--cfg-options default_hooks.finite_loss=None`; others stay."""
    hooks = dict(finite_loss=None, checkpoint=None, timer=dict(type='IterTimerHook'))
    cfg = Config(dict(default_hooks=hooks))
    apply_hooks(cfg)
    assert not cfg.get('custom_hooks')
    assert cfg.default_hooks == dict(checkpoint=None, timer=dict(type='IterTimerHook'))


def test_other_hooks_do_not_count_as_the_hook():
    others = [dict(type='EMAHook'), dict(type='a_name.ThatNothingHas'), EMAHook()]
    cfg = Config(dict(custom_hooks=list(others), default_hooks=dict(checkpoint=None)))
    apply_hooks(cfg)
    assert [hook['type'] for hook in cfg.custom_hooks if isinstance(hook, dict)] == [
        'EMAHook', 'a_name.ThatNothingHas', 'mmvig.FiniteLossHook',
    ]  # fmt: skip


class Parent(nn.Module):
    def __init__(self, fault=None) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.fault = fault

    def forward(self, x):
        x = self.parts[0](x)
        return {'found': [self.parts[1](x / 0 if self.fault else x)]}


@pytest.mark.parametrize('fault', [False, True])
def test_the_first_non_finite_module_is_named(fault):
    model = nn.ModuleDict({'body': nn.Sequential(Parent(), Parent(fault)), 'head': nn.Linear(2, 2)})

    def forward():
        model['head'](model['body'][1](model['body'][0](torch.ones(2))['found'][0])['found'][0])

    expected = 'the input of body.1.parts.1 (Linear), computed by body.1 (Parent)'
    assert first_non_finite(model, forward) == (expected if fault else None)
    assert not any(module._forward_hooks for module in model.modules())
    model['body'][0].parts[1].bias.data[0] = NAN
    assert first_non_finite(model, forward) == 'the output of body.0.parts.1 (Linear)'
