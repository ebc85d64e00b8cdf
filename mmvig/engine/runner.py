"""mmengine's runners with checks where they would go on with data or weights that do not fit.

`runner_type='mmvig.CheckedRunner'` or `'mmvig.CheckedFlexibleRunner'` in a config takes them in any
`train.py`; `python -m mmvig train` does so by itself.
"""

from collections.abc import Mapping

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, FlexibleRunner, Runner
from torch import nn
from torch.distributed.fsdp import StateDictType
from torch.utils.data import DataLoader

from mmvig import checkpoint as checkpoints
from mmvig import registry
from mmvig.checks import UserError, check_classes, check_model
from mmvig.checks.batch_norm import check_batch_norms
from mmvig.checks.channels import CheckedChannelPipeline
from mmvig.checks.checkpoint import check_resumable
from mmvig.checks.first_step import FirstStep
from mmvig.checks.ignored_label import check_ignored_label, differing_metrics
from mmvig.checks.label_maps import check_masks
from mmvig.checks.losses import check_losses
from mmvig.checks.metrics import (
    awaited_metrics,
    check_awaited_metrics,
    check_metrics,
    check_truth,
)
from mmvig.checks.model import accepted_channels, check_merged_views, check_palette
from mmvig.checks.occurrence import check_occurrence
from mmvig.checks.sampling import check_same_classes, check_sampler
from mmvig.checks.supply import check_training_truth

from .accumulated_batches import count_accumulated
from .checkpoint_fit import check_whole, fit_backbone
from .compilation import compile_part, is_compiled, names_part
from .loaded_data import inner_datasets, place_of
from .resume import rng_state
from .resume.kept_settings import describe_resume

FIRST_STEPS = ('before_train_iter', 'before_val_iter', 'before_test_iter')


class RunnerChecks:
    """What `CheckedRunner` and `CheckedFlexibleRunner` do beyond the runners of mmengine.

    - Every data set's pipeline names the file when something is wrong with a sample; the first
      sample to validate on is tried before the training.
    - Images have the backbone's channels, neck and heads read maps of its widths, and no batch
      norm gets a single value.
    - Heads and data have the same number of classes and ignore the same label, and in segmentation
      every image has a mask.
    - Metrics exist, the model predicts what they count, and what waits for one names it right.
    - A checkpoint fits: all of it to resume and to test, the backbone to start a training from.
      What a resumed training takes from it and not from the config is logged.
    - Batches whose gradients are summed (`accumulative_counts`) count for `auto_scale_lr`.

    Attributes:
        started (bool): Whether a step was done; before that an error is the config's.

    Raises:
        UserError, ValueError: see above; also in the methods of the runner.
        SampleError: of `mmvig.checks.pipeline`, while samples are loaded.
    """

    started = False
    _first_step: FirstStep | None = None
    _notes: tuple[str, ...] = ()

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_model()
        check_model(_unwrap(self.model))

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'RunnerChecks':
        """See `mmengine.runner.Runner.from_cfg`."""
        scaled, note = count_accumulated(cfg)
        runner = super().from_cfg(scaled)
        if note:
            runner.logger.info(note)
        return runner

    def _prepare_model(self) -> None:
        """Let `self.model` be a module."""

    def _weight_shapes(self) -> Mapping[str, torch.Size] | None:
        """Shapes of the weights that a checkpoint must hold; None if it holds others."""
        return checkpoints.shapes_of(_unwrap(self.model))

    def build_dataloader(self, *args, **kwargs) -> DataLoader:
        """See `mmengine.runner.Runner.build_dataloader`."""
        try:
            loader = super().build_dataloader(*args, **kwargs)
        except ValueError as error:
            if 'at least one array' not in str(error):  # mmengine joins the entries of a set
                raise
            raise UserError(
                'expected images in a data set of the config, there are none: look at its '
                'data_root and data_prefix, at the endings of the files, and at filter_cfg if it '
                'has one, which may leave all out'
            ) from error
        model = _unwrap(self.model)
        inner, ignored = list(inner_datasets(loader.dataset)), ()
        if not hasattr(model, 'language_model'):  # whose classes are words
            check_same_classes(loader.dataset, inner)
        for dataset in inner:  # before the workers get their copies
            classes = dataset.metainfo.get('classes')
            check_classes(model, classes, place_of(dataset))
            check_palette(dataset.metainfo, place_of(dataset))
            options = {'classes': classes, 'channels': accepted_channels(model)}
            if hasattr(dataset, 'reduce_zero_label'):
                ignored = options['ignored'] = check_ignored_label(model, dataset)
                if not dataset.backend_args:
                    check_masks(dataset)
            dataset.pipeline = CheckedChannelPipeline(dataset.pipeline, **options)
        note = check_occurrence(inner, place_of(loader.dataset), ignored)
        if note and note not in self._notes:  # the same data may serve to train and to validate
            self._notes = (*self._notes, note)
            self.logger.warning(note)
        return loader

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """See `mmengine.runner.Runner.build_train_loop`."""
        loop = super().build_train_loop(loop)
        model = _unwrap(self.model)
        model.train()  # as the loop does, so that frozen norms are in eval mode
        check_batch_norms(model, loop.dataloader)
        check_sampler(loop, 'train')
        check_losses(model)
        for dataset in inner_datasets(loop.dataloader.dataset):
            check_training_truth(model, dataset, place_of(dataset))
        if self._val_loop is None:
            for place, name in awaited_metrics(self.hooks, self.param_schedulers):
                self.logger.warning(f'{place}, {name!r}, has no effect: there is no validation')
        return loop

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """See `mmengine.runner.Runner.build_val_loop`."""
        loop = super().build_val_loop(loop)
        check_sampler(loop, 'val')
        if not isinstance(getattr(loop, 'evaluator', None), Evaluator):
            return loop
        self._check_evaluation(loop, 'val')
        awaited = awaited_metrics(self.hooks, self.param_schedulers)
        check_awaited_metrics(loop.evaluator, awaited)
        return loop

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """See `mmengine.runner.Runner.build_test_loop`."""
        loop = super().build_test_loop(loop)
        check_sampler(loop, 'test')
        if isinstance(getattr(loop, 'evaluator', None), Evaluator):
            self._check_evaluation(loop, 'test')
        return loop

    def _check_evaluation(self, loop: BaseLoop, split: str) -> None:
        model, evaluator = _unwrap(self.model), loop.evaluator
        check_metrics(model, evaluator, split)
        check_merged_views(_without_wrappers(self.model))
        for difference in differing_metrics(model, evaluator):
            self.logger.warning(f'{split}_evaluator: {difference}')
        dataset = loop.dataloader.dataset
        of_files = hasattr(dataset, 'full_init')  # a data set of mmengine
        if of_files and len(dataset):
            state = rng_state.get_rng_state()
            check_truth(evaluator, dataset[0], split)
            rng_state.set_rng_state(state)

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """See `mmengine.runner.Runner.call_hook`."""
        if fn_name in FIRST_STEPS and not self.started and not is_compiled(self.cfg.get('compile')):
            self._watch_first_step()
        if fn_name in ('after_train_iter', 'after_val_iter', 'after_test_iter'):
            self._end_first_step()
        if fn_name == 'after_load_checkpoint':
            self._check_checkpoint(kwargs['checkpoint'])
        super().call_hook(fn_name, **kwargs)

    def describe_first_step(self, error: Exception) -> str:
        """Where the first step failed by an error; '' if it was not running."""
        return self._first_step.describe(error) if self._first_step else ''

    def _watch_first_step(self) -> None:
        if self._first_step is None:
            self._first_step = FirstStep(_unwrap(self.model))

    def _end_first_step(self) -> None:
        self.started = True
        if self._first_step is not None:
            self._first_step.close()
            self._first_step = None

    def _check_checkpoint(self, checkpoint: dict) -> None:
        source = str(self._load_from or self.work_dir)
        self._check_fit(checkpoint, source)
        if isinstance(self._train_loop, BaseLoop) and self._resume:
            check_resumable(checkpoint, source, self._needed_to_resume)
            # mmengine would run this text as a config, for a count of GPUs in it.
            checkpoint['meta'].pop('config', None)
            for sentence in describe_resume(self, checkpoint):
                self.logger.warning(f'resuming from {source}: {sentence}')

    _needed_to_resume: tuple[str, ...] = ()

    def _check_fit(self, checkpoint: dict, source: str) -> None:
        shapes, model = self._weight_shapes(), _unwrap(self.model)
        if shapes is None:
            return
        if self._resume or not isinstance(self._train_loop, BaseLoop):
            check_whole(model, shapes, checkpoint, source)
            return
        fitted = fit_backbone(model, shapes, checkpoint, source)
        if fitted:
            self.logger.info(f'{source}: {fitted}')


@registry.RUNNERS.register_module()
class CheckedRunner(RunnerChecks, Runner):
    """`mmengine.runner.Runner` with the checks of `RunnerChecks`; compiles a part alone, too."""

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get('compile')
        if note := compile_part(_unwrap(self.model), options):
            self.logger.warning(note)
        if not names_part(options):
            super()._maybe_compile(target)


@registry.RUNNERS.register_module()
class CheckedFlexibleRunner(RunnerChecks, FlexibleRunner):
    """`mmengine.runner.FlexibleRunner` with the checks of `RunnerChecks`.

    DeepSpeed loads its checkpoints without a hook and compares them with the model itself; FSDP
    does so where every process has a file of its own (`state_dict_cfg='local'`).
    """

    _needed_to_resume = ('optimizer', 'param_schedulers')

    def _prepare_model(self) -> None:
        # The strategy would build it after the data sets, which its heads are compared with.
        self.model = self.strategy.build_model(self.model)
        # A strategy may cut the weights up later.
        self._shapes = checkpoints.shapes_of(_unwrap(self.model))

    def _weight_shapes(self) -> Mapping[str, torch.Size] | None:
        full = StateDictType.FULL_STATE_DICT
        return self._shapes if getattr(self.strategy, 'state_dict_type', full) == full else None


def runner_class(cfg: Config) -> type | None:
    """The class of a config's runner; None if its name is not known."""
    kind = cfg.get('runner_type') or Runner
    # mmengine logs look-ups, and for that would make its logger before the runner does.
    kind = {'Runner': Runner, 'FlexibleRunner': FlexibleRunner}.get(kind, kind)
    if isinstance(kind, str):
        try:
            kind = registry.RUNNERS.get(kind)
        except RuntimeError:
            return None
    return kind


def is_flexible(cfg: Config) -> bool:
    """Whether a config is for mmengine's runner with strategies, such as FSDP and DeepSpeed."""
    kind = runner_class(cfg)
    return isinstance(kind, type) and issubclass(kind, FlexibleRunner)


def build_runner(cfg: Config) -> Runner | FlexibleRunner:
    """The runner of a config: with checks if it is one of mmengine's, else as it is."""
    kind = runner_class(cfg)
    checked = {Runner: CheckedRunner, FlexibleRunner: CheckedFlexibleRunner}.get(kind, kind)
    if isinstance(checked, type) and issubclass(checked, RunnerChecks):
        return checked.from_cfg(cfg)
    runner = registry.RUNNERS.build(cfg)
    runner.logger.warning(
        f'runner_type {type(runner).__name__} runs without the checks of mmvig.CheckedRunner, from '
        'which it can be derived'
    )
    return runner


def _unwrap(model: nn.Module) -> nn.Module:
    """The model without wrappers of distributed training or test-time augmentation."""
    model = _without_wrappers(model)
    return _unwrap(model.module) if isinstance(model, BaseTTAModel) else model


def _without_wrappers(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model):
        model = model.module
    return model
