"""mmengine's runners with checks where they would go on with data or weights that do not fit.

`runner_type='mmvig.CheckedRunner'` or `'mmvig.CheckedFlexibleRunner'` in a config takes them in any
`train.py`; `python -m mmvig train` does so by itself.
"""

from collections.abc import Iterator, Mapping

import torch
from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, FlexibleRunner, Runner
from torch import Tensor, nn
from torch.distributed.fsdp import StateDictType
from torch.utils.data import DataLoader, Dataset

from mmvig import checkpoint as checkpoints
from mmvig import registry
from mmvig.checks import UserError, check_classes, check_model
from mmvig.checks.data import check_masks
from mmvig.checks.pipeline import CheckedPipeline
from mmvig.models.backbones.base import Backbone


class RunnerChecks:
    """What `CheckedRunner` and `CheckedFlexibleRunner` do beyond the runners of mmengine.

    - Every data set's pipeline names the file when something is wrong with a sample.
    - Neck and heads read maps of the backbone's widths.
    - Heads and data have the same number of classes, and in segmentation every image has a mask.
    - A checkpoint fits: all of it to resume and to test, the backbone to start a training from.

    Attributes:
        started (bool): Whether iterations began; before that an error is the config's.

    Raises:
        UserError, ValueError: see above; also in the methods of the runner.
        SampleError: of `mmvig.checks.pipeline`, while samples are loaded.
    """

    started = False

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_model()
        check_model(_unwrap(self.model))

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
                'data_root and data_prefix, and at the endings of the files'
            ) from error
        for dataset in _inner(loader.dataset):  # before the workers get their copies
            classes = dataset.metainfo.get('classes')
            check_classes(_unwrap(self.model), classes, _place(dataset))
            if hasattr(dataset, 'reduce_zero_label') and not dataset.backend_args:
                check_masks(dataset)
            dataset.pipeline = CheckedPipeline(dataset.pipeline, classes)
        return loader

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """See `mmengine.runner.Runner.call_hook`."""
        if fn_name in ('before_train', 'before_val', 'before_test'):
            self.started = True
        if fn_name == 'after_load_checkpoint':
            self._check_fit(kwargs['checkpoint'])
        super().call_hook(fn_name, **kwargs)

    def _check_fit(self, checkpoint: dict) -> None:
        shapes = self._weight_shapes()
        if shapes is None:
            return
        model = _unwrap(self.model)
        weights = {
            key.removeprefix('module.'): value
            for key, value in checkpoints.weights_of(checkpoint).items()
        }
        source = self._load_from or self.work_dir
        fine_tuning = isinstance(self._train_loop, BaseLoop) and not self._resume
        if not fine_tuning:
            checkpoints.check_shapes(shapes, weights, source, type(model).__name__)
        elif isinstance(getattr(model, 'backbone', None), Backbone):
            checkpoints.check_shapes(
                _of_backbone(shapes), _of_backbone(weights), source, type(model.backbone).__name__
            )


@registry.RUNNERS.register_module()
class CheckedRunner(RunnerChecks, Runner):
    """`mmengine.runner.Runner` with the checks of `RunnerChecks`."""


@registry.RUNNERS.register_module()
class CheckedFlexibleRunner(RunnerChecks, FlexibleRunner):
    """`mmengine.runner.FlexibleRunner` with the checks of `RunnerChecks`.

    DeepSpeed loads its checkpoints without a hook and compares them with the model itself; FSDP
    does so where every process has a file of its own (`state_dict_cfg='local'`).
    """

    def _prepare_model(self) -> None:
        # The strategy would build it after the data sets, which its heads are compared with.
        self.model = self.strategy.build_model(self.model)
        # A strategy may cut the weights up later.
        self._shapes = checkpoints.shapes_of(_unwrap(self.model))

    def _weight_shapes(self) -> Mapping[str, torch.Size] | None:
        full = StateDictType.FULL_STATE_DICT
        return self._shapes if getattr(self.strategy, 'state_dict_type', full) == full else None


_PLAIN = (None, 'Runner', 'mmengine.Runner', 'mmvig.CheckedRunner', Runner, CheckedRunner)
_FLEXIBLE = (
    *('FlexibleRunner', 'mmengine.FlexibleRunner', 'mmvig.CheckedFlexibleRunner'),
    *(FlexibleRunner, CheckedFlexibleRunner),
)


def is_flexible(cfg: Config) -> bool:
    """Whether a config is for mmengine's runner with strategies, such as FSDP and DeepSpeed."""
    return cfg.get('runner_type') in _FLEXIBLE


def build_runner(cfg: Config) -> Runner | FlexibleRunner:
    """The runner of a config: with checks if it is one of mmengine's, else as it is."""
    if is_flexible(cfg):
        return CheckedFlexibleRunner.from_cfg(cfg)
    if cfg.get('runner_type') in _PLAIN:
        return CheckedRunner.from_cfg(cfg)
    return registry.RUNNERS.build(cfg)


def _unwrap(model: nn.Module) -> nn.Module:
    """The model without wrappers of distributed training or test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _of_backbone(by_key: Mapping[str, Tensor | torch.Size]) -> dict[str, Tensor | torch.Size]:
    prefix = 'backbone.'
    return {
        key.removeprefix(prefix): value for key, value in by_key.items() if key.startswith(prefix)
    }


def _inner(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets with pipelines of their own, inside any wrappers."""
    wrapped = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for inner in wrapped:
        if inner is not None:
            yield from _inner(inner)
        elif hasattr(dataset, 'prepare_data'):
            yield dataset


def _place(dataset: Dataset) -> str:
    """The data set in the words of its config."""
    inner = next(_inner(dataset), dataset)
    prefix = getattr(inner, 'data_prefix', None) or {}
    folders = [path for path in prefix.values() if isinstance(path, str) and path]
    return f'{type(inner).__name__} of {getattr(inner, "ann_file", "") or ", ".join(folders)}'
