"""Whether the parts of a model fit together, and fit the data."""

from collections.abc import Sequence

from torch import nn

from mmvig.models.backbones.base import Backbone

from .errors import UserError


def check_model(model: nn.Module) -> None:
    """The neck or the heads behind a backbone of mmvig read maps of its widths.

    Raises:
        UserError: they read others; names the setting.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        return
    widths = list(backbone.out_channels)
    neck = getattr(model, 'neck', None)
    if neck is not None:
        _check_neck(neck, widths)
        return
    for name in ('decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        if hasattr(head, 'in_index'):
            _check_head(f'model.{name}', head, widths)


def _check_neck(neck: nn.Module, widths: list[int]) -> None:
    got = getattr(neck, 'in_channels', None)
    if isinstance(got, list | tuple) and list(got) != widths:
        raise UserError(
            f'expected model.neck.in_channels={widths}, the widths of the backbone, got {list(got)}'
        )


def _check_head(place: str, head: nn.Module, widths: list[int]) -> None:
    """A head of mmseg reads one map, or several that `in_index` lists."""
    several = isinstance(head.in_index, list | tuple)
    indices = head.in_index if several else [head.in_index]
    if not all(-len(widths) <= i < len(widths) for i in indices):
        raise UserError(
            f'expected {place}.in_index below {len(widths)}, the number of maps of the backbone, '
            f'got {head.in_index}'
        )
    expected = [widths[i] for i in indices]
    got = head.in_channels if several else [head.in_channels]
    if isinstance(got, list | tuple) and list(got) != expected:
        raise UserError(
            f'expected {place}.in_channels={expected if several else expected[0]}, the widths of '
            f'the backbone, got {head.in_channels}'
        )


def check_classes(model: nn.Module, classes: Sequence[str] | None, place: str) -> None:
    """Every head has as many classes as the data at `place`, which have `classes` if any.

    Raises:
        UserError: one has another number.
    """
    if classes is None or hasattr(model, 'language_model'):  # whose classes are words
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
