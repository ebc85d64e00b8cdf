"""A recipe for one's own data, from within the config that inherits it."""

import math
import os
from collections.abc import Iterator, Sequence

SPLITS = ('train', 'val', 'test')


def use_data(
    base: dict,
    *,
    classes: Sequence[str],
    data_root: str = '',
    train: dict | None = None,
    val: dict | None = None,
    scale_factor: float = 1.0,
    longest_side: int | None = None,
    crop_size: int | None = None,
    epochs: int | None = None,
) -> None:
    """Put data into the config that another one inherits, everywhere where it names data.

    For configs of mmdet and mmseg, in four lines, the import below `_base_`::

        _base_ = './vig-n_maskrcnn_small-data.py'
        from mmvig.apis.own_data import use_data

        use_data(_base_, data_root='data/mine/', classes=('circle', 'star'))

    The data sets of all splits get the classes and the root, the heads the number of classes, and
    evaluators the path of the annotations.

    Args:
        base: `_base_`, the inherited config, which is changed in place.
        classes: names, in the order of the labels.
        data_root: what the other paths start from.
        train: other settings of the data set to train on, such as `ann_file` and `data_prefix`.
        val: the same of the data set to validate and test on.
        scale_factor: the size of the images that the recipe means, times the files' own.
        longest_side: in its place, the side in pixels to which images are resized.
        crop_size: side of the square crops to train on.
        epochs: length of a training counted in epochs, with its schedule.

    Raises:
        ValueError: the classes are no names, a setting does not fit, or the base config has no
            heads that count classes.
    """
    classes = _check_classes(classes)
    for name in ('model', 'train_dataloader'):
        if name not in base:
            raise ValueError(f'expected _base_, an inherited config with a {name}, got {base!r}')
    for split in SPLITS:
        loader = base.get(f'{split}_dataloader')
        if loader:
            dataset = _innermost(loader['dataset'])
            _set_dataset(dataset, classes, data_root, (train if split == 'train' else val) or {})
            _set_evaluators(base.get(f'{split}_evaluator'), dataset)
    _set_class_count(base['model'], len(classes))
    for name in base.keys() & {'data_root', 'metainfo'}:  # which nothing reads after this
        base[name] = data_root if name == 'data_root' else dict(classes=classes)
    first_cropped = list(_cropped_before_resize(base))
    if longest_side is not None or scale_factor != 1:
        _set_image_size(base, scale_factor, longest_side)
    if crop_size is not None:
        _set_crop_size(base, crop_size)
    for transforms, side in first_cropped:
        _fit_crop(transforms, crop_size or side)
    if epochs is not None:
        _set_epochs(base, epochs)


def _check_classes(classes) -> tuple[str, ...]:
    names = not isinstance(classes, str) and all(isinstance(name, str) for name in classes)
    if not names or not classes or len(set(classes)) < len(classes):
        raise ValueError(
            f'expected classes to be a tuple of names, each once, got {classes!r}; one name alone '
            "is written ('name',)"
        )
    return tuple(classes)


def _innermost(dataset: dict) -> dict:
    """The data set inside wrappers that repeat or balance it."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    if 'datasets' in dataset:
        raise ValueError('expected a base config with one data set per split, it has several')
    return dataset


def _set_dataset(dataset: dict, classes: tuple[str, ...], data_root: str, settings: dict) -> None:
    settings = dict(data_root=data_root, metainfo=dict(classes=classes), **settings)
    for name, value in settings.items():
        dataset[name] = value  # `update` of mmengine's dicts would mix the folders of both


def _set_evaluators(evaluators, dataset: dict) -> None:
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        if evaluator and evaluator.get('ann_file') and dataset.get('ann_file'):
            evaluator['ann_file'] = os.path.join(dataset['data_root'], dataset['ann_file'])


def _dicts(node) -> Iterator[dict]:
    """All dicts inside, and the node itself."""
    if hasattr(node, 'values'):
        yield node
        node = node.values()
    if not isinstance(node, str):
        for inner in node if isinstance(node, Sequence) or hasattr(node, '__iter__') else ():
            yield from _dicts(inner)


def _set_class_count(model: dict, count: int) -> None:
    """Of all heads; a proposal network tells objects from ground only."""
    heads = [part for part in _dicts(model) if 'num_classes' in part]
    heads = [head for head in heads if not str(head.get('type')).endswith('RPNHead')]
    if not heads:
        raise ValueError(
            'expected heads with num_classes in the model of the base config, it has none'
        )
    for head in heads:
        head['num_classes'] = count


def _steps(base: dict, kind: str) -> Iterator[dict]:
    for split in SPLITS:
        for node in _dicts(_pipeline(base, split)):
            if node.get('type') == kind:
                yield node


def _pipeline(base: dict, split: str) -> list:
    loader = base.get(f'{split}_dataloader')
    return _innermost(loader['dataset']).get('pipeline', []) if loader else []


def _set_image_size(base: dict, factor: float, longest_side: int | None) -> None:
    """The sizes of a recipe stay in proportion to one another."""
    steps = [step for step in _steps(base, 'Resize') if 'scale_factor' in step]
    if not steps:
        raise ValueError(
            'expected a base config that resizes by scale_factor, such as *_small-data.py of '
            'mmvig; for others set scale in their pipelines'
        )
    for step in steps:
        if longest_side is None:
            step['scale_factor'] *= factor
        else:
            side = math.ceil(step.pop('scale_factor') * longest_side)
            step.update(scale=(side, side), keep_ratio=True)


def _set_crop_size(base: dict, side: int) -> None:
    for step in _steps(base, 'RandomCrop'):
        step['crop_size'] = (side, side)
    preprocessor = base['model'].get('data_preprocessor') or {}
    if 'size' in preprocessor:  # of batches in mmseg
        preprocessor['size'] = (side, side)


def _cropped_before_resize(base: dict) -> Iterator[tuple[list[dict], int]]:
    """The choices of a crop and a resize after it, and the side of what they give."""
    for choice in _steps(base, 'RandomChoice'):
        for transforms in choice['transforms']:
            if [step.get('type') for step in transforms] == ['RandomCrop', 'Resize']:
                crop, resize = transforms
                yield transforms, round(crop['crop_size'][0] * resize['scale_factor'])


def _fit_crop(transforms: list[dict], side: int) -> None:
    """Give the crop the side that is resized to `side`.

    The factors of resizing to a side differ from image to image: such images are cropped after it.
    """
    crop, resize = transforms
    if 'scale_factor' in resize:
        side = round(side / resize['scale_factor'])
    else:
        transforms.reverse()
    crop['crop_size'] = (side, side)


def _set_epochs(base: dict, epochs: int) -> None:
    loop = base.get('train_cfg') or {}
    if 'max_epochs' not in loop:
        raise ValueError('expected a base config whose train_cfg has max_epochs, to set epochs')
    last = loop['max_epochs']
    loop['max_epochs'] = epochs
    loop['val_interval'] = max(1, round(loop.get('val_interval', 1) * epochs / last))
    for scheduler in base.get('param_scheduler') or []:
        if scheduler.get('by_epoch', True) and scheduler.get('end') == last:
            scheduler['end'] = epochs
        if 'milestones' in scheduler:
            scheduler['milestones'] = [round(e * epochs / last) for e in scheduler['milestones']]
