"""Whether a training pipeline loads what the heads of the model learn from."""

from collections.abc import Iterator

from torch import nn
from torch.utils.data import Dataset

from .dataset_config import HOSTS
from .errors import UserError


def check_training_truth(model: nn.Module, dataset: Dataset, place: str) -> None:
    """Masks are loaded for a head of masks, and label maps for a segmentor.

    Otherwise the loss meets a sample without them at the first step. A pipeline with steps of one's
    own is not judged.

    Args:
        model: to train.
        dataset: that has the pipeline.
        place: of it, in the words of the config.

    Raises:
        UserError: they are not.
    """
    steps = list(_steps(dataset.pipeline.transforms))
    known = all(type(step).__module__.startswith((*HOSTS, 'mmcv')) for step in steps)
    if not known:
        return
    loaders = [step for step in steps if 'LoadAnnotations' in _names(step)]
    roi_head = getattr(model, 'roi_head', None)
    masks = [step.with_mask for step in loaders if hasattr(step, 'with_mask')]
    if getattr(roi_head, 'with_mask', False) and masks and not any(masks):
        raise UserError(
            f'expected with_mask=True of LoadAnnotations in the pipeline of {place}, as '
            'model.roi_head.mask_head learns from masks; for boxes alone, mask_head=None'
        )
    segments = hasattr(model, 'decode_head') and hasattr(dataset, 'reduce_zero_label')
    if segments and steps and not loaders:
        raise UserError(
            f'expected LoadAnnotations in the pipeline of {place}, as model.decode_head learns '
            'from masks'
        )


def _steps(steps) -> Iterator[object]:
    for step in steps:
        yield step
        inner = getattr(step, 'transforms', None)
        if isinstance(inner, list | tuple):
            yield from _steps(inner)
        elif hasattr(inner, 'transforms'):  # a Compose
            yield from _steps(inner.transforms)


def _names(step) -> set[str]:
    return {kind.__name__ for kind in type(step).__mro__}
