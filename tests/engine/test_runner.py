"""The checks of both runners, by command and in a program of one's own."""

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from mmvig.checks import UserError, check
from mmvig.engine.runner import (
    CheckedFlexibleRunner,
    CheckedRunner,
    build_runner,
    is_flexible,
    runner_class,
)
from tests.support import error_cases_checkpoints as checkpoints
from tests.support import invalid_inputs as made
from tests.support.cli import forget_runs

TRAIN = ('train', 'det.py')
CASES = {  # change of the inputs, arguments, what the message has
    'classes': (
        None,
        (*TRAIN, '--cfg-options', 'model.roi_head.bbox_head.num_classes=80'),
        'expected num_classes=2 in model.roi_head.bbox_head',
    ),
    'widths': (
        None,
        (*TRAIN, '--cfg-options', 'model.neck.in_channels=[32,64,128,512]'),
        'expected model.neck.in_channels=[32, 64, 128, 256]',
    ),
    'mask': (
        made.without('data/masks/2.png'),
        ('train', 'seg.py'),
        'expected the mask data/masks/2.png',
    ),
    'no images': (
        made.both(*(made.without(f'data/images/{i}.jpg') for i in range(4))),
        ('train', 'seg.py'),
        'expected images in a data set',
    ),
    'sample': (
        made.cut('data/images/2.jpg'),
        TRAIN,
        'expected a whole image, data/images/2.jpg',
    ),
    'sample to test': (
        made.cut('data/images/2.jpg'),
        ('test', 'det.py', 'det.pth'),
        'expected a whole image, data/images/2.jpg',
    ),
    'labels': (
        made.mask(lambda labels: labels * 60),
        ('train', 'seg.py'),
        'expected labels 1 … 3',
    ),
    'checkpoint to resume': (
        made.weights(checkpoints.dropped),
        (*TRAIN, '--resume', 'changed.pth'),
        'changed.pth does not fit MaskRCNN: missing: backbone.norm0.weight',
    ),
    'checkpoint to test': (
        made.weights(checkpoints.misshapen),
        ('test', 'det.py', 'changed.pth'),
        'changed.pth does not fit MaskRCNN: of another shape: backbone.norm0.weight',
    ),
    'checkpoint to start from': (
        made.weights(checkpoints.other_head),
        (*TRAIN, '--cfg-options', 'load_from=changed.pth'),
        'changed.pth does not fit MultiScaleViG: missing: stem.0.conv.weight',
    ),
}


def with_runner(runner_type: str, argv: tuple[str, ...]) -> list[str]:
    options = [] if '--cfg-options' in argv else ['--cfg-options']
    return [*argv, *options, f'runner_type={runner_type}']


@pytest.mark.parametrize('case', CASES)
def test_both_runners_refuse_the_same(case, input_folder, cli):
    change, argv, words = CASES[case]
    if change:
        change(input_folder)
    messages = [cli.user_error(*with_runner(f'{kind}Runner', argv)) for kind in ('', 'Flexible')]
    assert words in messages[0]
    assert messages[1] == messages[0]


@pytest.mark.parametrize('runner_type', ['Runner', 'FlexibleRunner'])
def test_valid_inputs_pass(runner_type, input_folder, cli):
    cli.output(*with_runner(runner_type, ('train', 'seg.py')))
    resumed = ('train', 'seg.py', '--resume', '--cfg-options', 'train_cfg.max_iters=4')
    cli.output(*with_runner(runner_type, resumed))
    assert (input_folder / 'work_dirs/seg/iter_4.pth').is_file()
    cli.output(*with_runner(runner_type, ('test', 'seg.py', 'work_dirs/seg/iter_4.pth')))


@pytest.mark.parametrize('runner', [CheckedRunner, CheckedFlexibleRunner])
def test_another_train_py_gets_the_checks_by_the_config(runner, input_folder):
    """As mmdet's own does: it builds the runner that the config names."""
    cfg = Config.fromfile('det.py')
    cfg.work_dir = 'own'
    cfg.runner_type = f'mmvig.{runner.__name__}'
    check(cfg, 'train', 'val')
    forget_runs()
    assert isinstance(RUNNERS.build(cfg), runner)
    cfg.model.roi_head.bbox_head.num_classes = 80
    forget_runs()
    with pytest.raises(UserError, match=r'expected num_classes=2 in model\.roi_head\.bbox_head'):
        RUNNERS.build(cfg).train()


@pytest.mark.parametrize(
    ('names', 'expected', 'flexible'),
    [
        ((None, 'Runner', 'mmengine.Runner', 'mmengine.runner.Runner', Runner), Runner, False),
        (('mmvig.CheckedRunner', CheckedRunner), CheckedRunner, False),
        (
            ('FlexibleRunner', 'mmengine.runner._flexible_runner.FlexibleRunner', FlexibleRunner),
            FlexibleRunner,
            True,
        ),
        (('mmvig.CheckedFlexibleRunner',), CheckedFlexibleRunner, True),
        (('NoSuchRunner', 'no.such.Runner'), None, False),
    ],
)
def test_a_runner_is_known_by_every_name(names, expected, flexible):
    for name in names:
        cfg = Config(dict(runner_type=name))
        assert runner_class(cfg) is expected
        assert is_flexible(cfg) == flexible


@pytest.mark.parametrize('name', ['mmengine.runner.Runner', 'mmengine.runner.FlexibleRunner'])
def test_a_name_by_path_keeps_the_checks(name, input_folder):
    cfg = Config.fromfile('det.py')
    cfg.work_dir, cfg.runner_type = 'own', name
    forget_runs()
    assert isinstance(build_runner(cfg), CheckedRunner | CheckedFlexibleRunner)


def test_other_runners_are_built_as_they_are(input_folder, capfd):
    @RUNNERS.register_module(force=True)
    class OwnRunner(Runner):
        pass

    cfg = Config.fromfile('det.py')
    cfg.work_dir, cfg.runner_type = 'own', 'OwnRunner'
    forget_runs()
    assert type(build_runner(cfg)) is OwnRunner
    assert 'OwnRunner runs without the checks of mmvig.CheckedRunner' in capfd.readouterr().out


@pytest.mark.parametrize('runner', [CheckedRunner, CheckedFlexibleRunner])
def test_the_learning_rate_counts_accumulated_batches(runner, input_folder, cli):
    """Two images a batch and four batches a step are half of a base of 16 images."""
    options = [
        f'runner_type=mmvig.{runner.__name__}', 'optim_wrapper.accumulative_counts=4',
        'auto_scale_lr.base_batch_size=16', 'optim_wrapper.optimizer.lr=0.08',
        'param_scheduler=None', 'val_dataloader=None', 'val_cfg=None', 'val_evaluator=None',
    ]  # fmt: skip
    out = cli.output('train', 'det.py', '--auto-scale-lr', '--cfg-options', *options)
    assert 'lr: 4.0000e-02' in out
    assert 'a step is of 4 batches (accumulative_counts)' in out
