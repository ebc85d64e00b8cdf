"""Batch norms that would meet one value per channel in training, which torch refuses."""

from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, DataLoader

from .errors import UserError


def check_batch_norms(model: nn.Module, loader: DataLoader) -> None:
    """No batch norm behind a pooling to one pixel gets a batch of one image.

    Batches are those of one process, unless the norm joins processes. The last batch of an epoch
    counts, where the loader does not drop it.

    Args:
        model: in the mode in which it is trained.
        loader: of the training.

    Raises:
        UserError: one does; names the norm and what to set.
    """
    size, last = _smallest_batch(loader)
    if size != 1:
        return
    for name, norm in _norms_of_one_pixel(model):
        joined = isinstance(norm, nn.SyncBatchNorm) and get_world_size() > 1
        if norm.training and not joined:
            what = 'the last batch of an epoch has' if last else 'batches have'
            drop = 'train_dataloader.drop_last=True, ' if last else ''
            raise UserError(
                f'expected two images or more in a batch, as model.{name} normalises one value per '
                f'image and channel; {what} one: {drop}another train_dataloader.batch_size, or '
                "norm_cfg=dict(type='GN', num_groups=32) in the head"
            )


def _smallest_batch(loader: DataLoader) -> tuple[int | None, bool]:
    """The size of the smallest batch, None if unknown, and whether it is the last one's alone."""
    batches = loader.batch_sampler
    size = getattr(batches, 'batch_size', None)
    known = type(batches) is BatchSampler and not batches.drop_last
    if size == 1 or not known or isinstance(batches.sampler, InfiniteSampler):
        return size, False
    rest = len(batches.sampler) % size
    return (rest, True) if rest else (size, False)


def _norms_of_one_pixel(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    """Batch norms of vectors, outside of the backbone, or after a pooling in the same sequence."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d) and not name.startswith('backbone.'):
            yield name, module
        pooled = False
        for key, part in module.named_children() if isinstance(module, nn.Sequential) else ():
            if isinstance(part, nn.AdaptiveAvgPool2d):
                pooled = part.output_size in (1, (1, 1))
            elif pooled:
                for inner, norm in part.named_modules(prefix=f'{name}.{key}'):
                    if isinstance(norm, _BatchNorm):
                        yield inner, norm
