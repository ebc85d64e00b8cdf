"""How a config's test pipeline prepares an image, as the steps of a manifest."""

from collections.abc import Sequence

from mmengine.config import Config

from mmvig.checks.errors import UserError

# They change no pixel, or are what every runtime does: read the file in colour, make a tensor.
_IGNORED = ('LoadAnnotations', 'PackDetInputs', 'PackSegInputs', 'PackInputs')
_LOADING = ('LoadImageFromFile', 'InferencerLoader')
_SCALING = {'backend': 'cv2', 'interpolation': 'bilinear'}  # and the defaults of mmcv


def steps(cfg: Config) -> tuple[dict, ...]:
    """Changes of an image's geometry in the test pipeline, as `Manifest.steps` has them.

    Raises:
        UserError: the pipeline has a transform, or an option of one, that no manifest can tell.
    """
    pipeline = cfg.test_dataloader.dataset.pipeline
    found = [_step(dict(transform)) for transform in pipeline]
    return tuple(step for step in found if step is not None)


def _step(options: dict) -> dict | None:
    kind = options.pop('type')
    kind = kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
    if kind in _IGNORED:
        return None
    if kind in _LOADING:
        _expect(kind, options, {'to_float32': False, 'color_type': 'color', 'backend_args': None})
        return None
    if kind == 'Resize':
        return _resize(options)
    if kind == 'ResizeEdge':
        _expect(kind, options, {}, ('scale', 'edge', *_SCALING))
        edge = options.pop('edge', 'short')
        size = options.pop('scale')
        return {'type': 'resize_edge', 'edge': edge, 'size': size, **_SCALING, **options}
    if kind == 'CenterCrop':
        _expect(kind, options, {'auto_pad': False}, ('crop_size', 'pad_cfg', 'clip_object_border'))
        width, height = _pair(options['crop_size'])
        return {'type': 'center_crop', 'size': [height, width]}
    raise UserError(
        f'expected Resize, ResizeEdge and CenterCrop in the test pipeline, got {kind}: an exported '
        f'model prepares images by these only'
    )


def _resize(options: dict) -> dict | None:
    _expect(
        'Resize',
        options,
        {},
        ('scale', 'scale_factor', 'keep_ratio', 'clip_object_border', *_SCALING),
    )
    scaling = {name: options.get(name, default) for name, default in _SCALING.items()}
    keep_ratio = options.get('keep_ratio', False)
    if options.get('scale') is not None:
        scale = list(_pair(options['scale']))
        scale = sorted(scale, reverse=True) if keep_ratio else scale
        return {'type': 'resize', 'scale': scale, 'keep_ratio': keep_ratio, **scaling}
    factors = list(_pair(options['scale_factor']))
    if factors == [1, 1]:
        return None
    return {'type': 'resize', 'scale_factor': factors, 'keep_ratio': keep_ratio, **scaling}


def _expect(kind: str, options: dict, values: dict, free: Sequence[str] = ()) -> None:
    """Only options that are free, or have the one value that a runtime follows."""
    for name, value in options.items():
        if name in free:
            continue
        if name not in values:
            known = ', '.join([*values, *free])
            raise UserError(f'expected the options {known} of {kind}, got {name!r}')
        if value != values[name]:
            raise UserError(
                f'expected {name}={values[name]!r} of {kind} in the test pipeline, got {value!r}: '
                f'an exported model prepares images so only'
            )


def _pair(value) -> tuple:
    return (value, value) if isinstance(value, int | float) else tuple(value)
