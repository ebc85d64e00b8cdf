"""What happens to the pixels of a prepared image before the model takes it, as a manifest tells."""

from torch import nn

from mmvig.checks.errors import UserError


def normalization(preprocessor: nn.Module) -> dict:
    """`mean`, `std`, `channel_order`, `pad_divisor` and `pad_value` of a `Manifest`.

    Raises:
        UserError: the data preprocessor of the model does something else.
    """
    kind = type(preprocessor).__name__
    if kind not in _PADDING:
        raise UserError(
            f'expected data_preprocessor to be one of {", ".join(_PADDING)} for an export, got '
            f'{kind}'
        )
    is_normalized = preprocessor._enable_normalize
    swaps = (
        preprocessor.to_rgb if kind == 'ClsDataPreprocessor' else preprocessor._channel_conversion
    )
    return {
        'mean': _values(preprocessor.mean) if is_normalized else (0.0,) * 3,
        'std': _values(preprocessor.std) if is_normalized else (1.0,) * 3,
        'channel_order': 'RGB' if swaps else 'BGR',  # files are read as BGR
        **_PADDING[kind](preprocessor),
    }


def _values(per_channel) -> tuple[float, ...]:
    return tuple(per_channel.flatten().tolist())


def _of_images(preprocessor: nn.Module) -> dict:
    return {
        'pad_divisor': preprocessor.pad_size_divisor,
        'pad_value': float(preprocessor.pad_value),
    }


def _of_segmentor(preprocessor: nn.Module) -> dict:
    """mmseg pads in tests by `test_cfg` of the preprocessor only."""
    test_cfg = preprocessor.test_cfg or {}
    if test_cfg.get('size') is not None:
        raise UserError(
            'expected data_preprocessor.test_cfg without a fixed size, as an exported model takes '
            f'images of any size; got size={test_cfg["size"]}'
        )
    return {
        'pad_divisor': test_cfg.get('size_divisor') or 1,
        'pad_value': float(preprocessor.pad_val),
    }


_PADDING = {
    'ClsDataPreprocessor': _of_images,
    'DetDataPreprocessor': _of_images,
    'SegDataPreProcessor': _of_segmentor,
}
