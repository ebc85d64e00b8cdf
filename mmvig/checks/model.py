"""Whether the parts of a model fit together, and fit the data."""

from collections.abc import Mapping, Sequence

from mmengine.model import ImgDataPreprocessor
from torch import nn

from mmvig.models.backbones.base import Backbone

from .errors import UserError


def check_model(model: nn.Module) -> None:
    """What stands before and behind a backbone of mmvig fits it: channels of images, and widths.

    Raises:
        UserError: it does not; names the setting.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        return
    _check_preprocessor(getattr(model, 'data_preprocessor', None), backbone.in_channels)
    widths = list(backbone.out_channels)
    neck = getattr(model, 'neck', None)
    if neck is not None:
        _check_neck(neck, widths)
        _check_levels(model)
        return
    for name in ('decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        if hasattr(head, 'in_index'):
            _check_head(f'model.{name}', head, widths)


def _check_preprocessor(preprocessor: nn.Module | None, channels: int) -> None:
    """Images are normalised by channel, and only those of three channels turn from BGR to RGB."""
    mean = getattr(preprocessor, 'mean', None)
    if mean is not None and mean.numel() not in (1, channels):
        count = 'one number' if channels == 1 else f'{channels} numbers or one'
        raise UserError(
            f'expected model.data_preprocessor.mean and std to have {count}, as '
            f'model.backbone.in_channels={channels}, got {mean.numel()}'
        )
    if _is_strict(preprocessor) and preprocessor._channel_conversion and channels != 3:
        raise UserError(
            'expected model.data_preprocessor.bgr_to_rgb=False, as model.backbone.in_channels='
            f'{channels} and there is no other order of channels, got True'
        )


def accepted_channels(model: nn.Module) -> set[int] | None:
    """Numbers of channels that images may have for the model; None if they are not known."""
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        return None
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean = getattr(preprocessor, 'mean', None)
    # A mean of three numbers, subtracted from one channel, makes three.
    spreads = not _is_strict(preprocessor) and mean is not None and mean.numel() > 1
    return {backbone.in_channels} | ({1} if spreads else set())


def _is_strict(preprocessor: nn.Module | None) -> bool:
    """Whether it is one of mmengine that mmseg does not override, to look at the channels first."""
    overridden = any(kind.__module__.startswith('mmseg.') for kind in type(preprocessor).__mro__)
    return isinstance(preprocessor, ImgDataPreprocessor) and not overridden


def _check_neck(neck: nn.Module, widths: list[int]) -> None:
    """A neck, or the first of a list of them, reads the maps of the backbone."""
    several = isinstance(neck, nn.Sequential)
    got = getattr(neck[0] if several else neck, 'in_channels', None)
    if isinstance(got, list | tuple) and list(got) != widths:
        raise UserError(
            f'expected model.neck{".0" if several else ""}.in_channels={widths}, the widths of '
            f'the backbone, got {list(got)}'
        )


def _check_levels(model: nn.Module) -> None:
    """Heads have a stride for each map of the neck: mmdet asserts so at the first step."""
    count = getattr(getattr(model, 'neck', None), 'num_outs', None)
    for name in ('rpn_head', 'bbox_head'):
        head = getattr(model, name, None)
        for part in ('anchor_generator', 'prior_generator'):
            strides = getattr(getattr(head, part, None), 'strides', None)
            if isinstance(count, int) and isinstance(strides, list) and len(strides) != count:
                raise UserError(
                    f'expected model.neck.num_outs={len(strides)}, a map for each of the '
                    f'{len(strides)} strides of model.{name}, got {count}'
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


def check_palette(metainfo: Mapping, place: str) -> None:
    """Every class of the data at `place` has a colour, where they have a list of colours.

    mmdet tells so at the first picture that it draws.

    Raises:
        UserError: there are more classes than colours.
    """
    classes, palette = metainfo.get('classes'), metainfo.get('palette')
    if classes and isinstance(palette, list | tuple) and 0 < len(palette) < len(classes):
        raise UserError(
            f'expected {len(classes)} colours in metainfo.palette of {place}, one for each class, '
            f'got {len(palette)}'
        )


def check_merged_views(model: nn.Module) -> None:
    """What merges the views of an image in test-time augmentation can merge masks, if any.

    Raises:
        UserError: it cannot; names one that does.
    """
    if type(model).__name__ == 'DetTTAModel' and predicts_masks(model.module):
        raise UserError(
            "expected tta_model.type='mmvig.InstanceSegTTAModel' for a model with masks, got "
            "'DetTTAModel', which merges boxes alone"
        )


def predicts_masks(model: nn.Module) -> bool:
    """Whether a part of the model is about masks: detectors have their heads at many places."""
    words = ('mask', 'panoptic', 'segm')
    return any(
        word in name.lower() or word in type(module).__name__.lower()
        for name, module in model.named_modules()
        for word in words
        if name
    )
