"""Losses of classes that are always 0, or have another number of weights than of classes.

A softmax over one channel is 1 whatever the channel says, so that nothing is learned, in silence;
a wrong number of weights is an error of torch at the first step, which names no setting.
"""

from collections.abc import Iterator

from torch import nn

from .errors import UserError

# Where the heads of mmseg, mmdet and mmpretrain hold the loss of their classes.
PLACES = ('loss_decode', 'loss_cls', 'loss_module')


def check_losses(model: nn.Module) -> None:
    """The cross entropies of a model's heads can learn, and weigh each of their outputs.

    Raises:
        UserError: one cannot; names the setting.
    """
    for name, head in model.named_modules():
        if isinstance(getattr(head, 'num_classes', None), int) and name:
            for place, loss in _cross_entropies(head):
                _check(f'model.{name}', place, head, loss)


def _cross_entropies(head: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for place in PLACES:
        losses = getattr(head, place, None)
        several = isinstance(losses, nn.ModuleList)
        for loss in losses if several else [losses]:
            loss = getattr(loss, 'ce', loss)  # inside mmpretrain's LabelSmoothLoss
            if type(loss).__name__ == 'CrossEntropyLoss' and hasattr(loss, 'use_sigmoid'):
                # mmpretrain's heads take it as `loss`.
                yield place.removesuffix('_module'), loss


def _check(name: str, place: str, head: nn.Module, loss: nn.Module) -> None:
    outputs = _outputs(place, head)
    softmax = not (loss.use_sigmoid or getattr(loss, 'use_mask', False))
    if softmax and outputs == 1:
        raise UserError(
            f'expected use_sigmoid=True of {place} in {name}, which has one output: a softmax of '
            'one is always 1, and nothing is learned from it. Or two outputs: num_classes=2'
        )
    weights = loss.class_weight
    if not isinstance(weights, list | tuple):
        return
    along_columns = place == 'loss_decode' and loss.use_sigmoid
    if along_columns and len(weights) > 1:
        raise UserError(
            f'expected no class_weight of {place} in {name} beside use_sigmoid=True, as mmseg lays '
            f'it along the columns of the image, got {list(weights)}: use_sigmoid=False'
        )
    if softmax and len(weights) != outputs:
        ground = ', the last for what is no object' if place == 'loss_cls' else ''
        raise UserError(
            f'expected {outputs} numbers in class_weight of {place} in {name}, one for each class'
            f'{ground}, got {len(weights)}'
        )


def _outputs(place: str, head: nn.Module) -> int:
    """Channels of the scores; those of objects in mmdet have one more, for the ground."""
    if place == 'loss_cls':
        return head.num_classes + 1
    channels = getattr(head, 'out_channels', None)
    return channels if place == 'loss_decode' and isinstance(channels, int) else head.num_classes
