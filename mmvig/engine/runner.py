"""mmengine's runner with checks where it would go on with data or weights that do not fit."""

from collections.abc import Iterator

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmvig import checkpoint as checkpoints
from mmvig.checks.data import check_masks
from mmvig.checks.errors import UserError
from mmvig.checks.pipeline import CheckedPipeline
from mmvig.models.backbones.base import Backbone


class CheckedRunner(Runner):
    """As `mmengine.runner.Runner`; in addition

    - every data set's pipeline names the file when something is wrong with a sample,
    - heads and data have the same number of classes,
    - a checkpoint fits: all of it to resume and to test, the backbone to start a training from.

    Attributes:
        started (bool): Whether iterations began; before that an error is the config's.
    """

    started = False

    def build_dataloader(self, *args, **kwargs) -> DataLoader:
        """See `Runner.build_dataloader`."""
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
            check_classes(self.model, classes, _place(dataset))
            if hasattr(dataset, 'reduce_zero_label') and not dataset.backend_args:
                check_masks(dataset)
            dataset.pipeline = CheckedPipeline(dataset.pipeline, classes)
        return loader

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """See `Runner.call_hook`."""
        if fn_name in ('before_train', 'before_val', 'before_test'):
            self.started = True
        if fn_name == 'after_load_checkpoint':
            self._check_fit(kwargs['checkpoint'])
        super().call_hook(fn_name, **kwargs)

    def _check_fit(self, checkpoint: dict) -> None:
        model = self.model.module if is_model_wrapper(self.model) else self.model
        model = model.module if isinstance(model, BaseTTAModel) else model
        fine_tuning = isinstance(self._train_loop, BaseLoop) and not self._resume
        weights = {
            key.removeprefix('module.'): value
            for key, value in checkpoints.weights_of(checkpoint).items()
        }
        if not fine_tuning:
            checkpoints.check_fit(model, weights, self._load_from or self.work_dir)
        elif isinstance(getattr(model, 'backbone', None), Backbone):
            inside = 'backbone.'
            backbone = {
                key.removeprefix(inside): value
                for key, value in weights.items()
                if key.startswith(inside)
            }
            checkpoints.check_fit(model.backbone, backbone, self._load_from)


def check_classes(model: nn.Module, classes, place: str) -> None:
    """Every head counts as many classes as the data have.

    Raises:
        UserError: one does not.
    """
    if classes is None or hasattr(model, 'language_model'):  # there a class is a word
        return
    for name, module in model.named_modules():
        count = getattr(module, 'num_classes', None)
        # A proposal network tells objects from ground; semantic maps beside boxes have their own.
        own = type(module).__name__.endswith('RPNHead') or 'semantic_head' in name
        if isinstance(count, int) and not own and name and count != len(classes):
            raise UserError(
                f'expected num_classes={len(classes)} in model.{name}, as {place} has '
                f'{len(classes)} classes, got {count}'
            )


def check_widths(model: nn.Module) -> None:
    """What follows a backbone of ours reads maps of its widths.

    Raises:
        UserError: it does not.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        return
    widths = list(backbone.out_channels)
    neck = getattr(model, 'neck', None)
    wanted = getattr(neck, 'in_channels', None)
    if isinstance(wanted, list | tuple) and list(wanted) != widths:
        raise UserError(
            f'expected model.neck.in_channels={widths}, the widths of the backbone, got '
            f'{list(wanted)}'
        )
    for name in ('decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        if neck is None and hasattr(head, 'in_index'):
            several = isinstance(head.in_index, list | tuple)
            indices = head.in_index if several else [head.in_index]
            if not all(-len(widths) <= i < len(widths) for i in indices):
                raise UserError(
                    f'expected model.{name}.in_index below {len(widths)}, the number of maps of '
                    f'the backbone, got {head.in_index}'
                )
            read = [widths[i] for i in indices]
            got = head.in_channels if several else [head.in_channels]
            if isinstance(got, list | tuple) and list(got) != read:
                raise UserError(
                    f'expected model.{name}.in_channels={read if several else read[0]}, the widths '
                    f'of the backbone, got {head.in_channels}'
                )


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
