"""A data set as its config has it: its class, what stands inside wrappers, and its settings."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.registry import DATASETS, init_default_scope

from .config import check_dataset
from .errors import UserError
from .lists import read_list

HOSTS = ('mmdet', 'mmseg', 'mmpretrain', 'mmengine', 'mmvig')


def _is_path(value) -> bool:
    return value is None or isinstance(value, str)


def _is_dict(value) -> bool:
    return value is None or hasattr(value, 'keys')


FIELDS = {
    'data_root': ('a path', _is_path),
    'ann_file': ('a path', _is_path),
    'metainfo': ('a dict', _is_dict),
    'filter_cfg': ('a dict', _is_dict),
    'pipeline': ('a list of steps', lambda value: isinstance(value, list | tuple)),
}


def inner_datasets(dataset: dict, place: str) -> Iterator[tuple[str, dict]]:
    """The data sets inside any wrappers, with their places in the config.

    Raises:
        UserError: one is no dict with a type.
    """
    check_dataset(place.partition('_')[0], dataset)
    inner = {f'{place}.datasets.{i}': each for i, each in enumerate(dataset.get('datasets') or ())}
    if 'dataset' in dataset:
        inner[f'{place}.dataset'] = dataset['dataset']
    if not inner:
        yield place, dataset
    for its_place, each in inner.items():
        yield from inner_datasets(each, its_place)


def is_coco(kind: type) -> bool:
    """Whether a class of data sets reads a COCO file of boxes as mmdet's own does."""
    if not _stands_on(kind, 'mmdet'):  # which need not be there
        return False
    from mmdet.datasets import CocoDataset

    return (
        issubclass(kind, CocoDataset)
        and kind.load_data_list is CocoDataset.load_data_list
        and kind.COCOAPI is CocoDataset.COCOAPI  # panoptic files have segments instead
    )


def kind_of(dataset: dict, scope: str | None) -> type | None:
    """The class of a data set; None if it is not known, which building it will tell."""
    kind = dataset['type']
    if isinstance(kind, str):
        if scope:
            init_default_scope(scope)
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return kind if isinstance(kind, type) else None


def check_fields(place: str, dataset: dict, kind: type | None) -> None:
    """Settings of a data set of the hosts are of the types that these take.

    Raises:
        UserError: names the setting, what it must be and what it is.
    """
    if kind is None or not kind.__module__.startswith(HOSTS):
        return  # one's own may take others
    for name, (expected, fits) in FIELDS.items():
        if name in dataset and not fits(dataset[name]):
            raise UserError(f'expected {place}.{name} to be {expected}, got {dataset[name]!r}')
    prefixes = dataset.get('data_prefix')
    if hasattr(prefixes, 'items'):
        for name, prefix in prefixes.items():
            if not _is_path(prefix):
                raise UserError(f'expected {place}.data_prefix.{name} to be a path, got {prefix!r}')
    elif prefixes is not None and not (isinstance(prefixes, str) and takes_one_prefix(kind)):
        raise UserError(f'expected {place}.data_prefix to be a dict of paths, got {prefixes!r}')
    size = (dataset.get('filter_cfg') or {}).get('min_size', 0)
    if not isinstance(size, int | float):
        raise UserError(f'expected {place}.filter_cfg.min_size to be a number, got {size!r}')


def reads_labels(kind: type) -> bool:
    """Whether a class of data sets reads a list of images and labels as mmpretrain's own does."""
    if not _stands_on(kind, 'mmpretrain'):
        return False
    from mmpretrain.datasets import CustomDataset

    return getattr(kind, 'load_data_list', None) is CustomDataset.load_data_list


def takes_one_prefix(kind: type) -> bool:
    """Whether a bare path for `data_prefix` names the folder of images, as in mmpretrain."""
    return _stands_on(kind, 'mmpretrain')


def _stands_on(kind: type, library: str) -> bool:
    return any(base.__module__.partition('.')[0] == library for base in kind.__mro__)


def prefixes_of(dataset: dict) -> dict:
    """Folders by what they hold; a bare path is that of the images."""
    prefix = dataset.get('data_prefix') or {}
    return prefix if hasattr(prefix, 'values') else {'img_path': prefix}


def classes_of(dataset: dict, kind: type | None) -> list[str] | None:
    """Names of the classes that a data set of the hosts will have; None if they are not known.

    Raises:
        UserError: what names them in the config does not.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        classes = dataset.get('classes')  # of mmpretrain
    if classes is None:
        classes = getattr(kind, 'METAINFO', {}).get('classes')
        return None if classes is None else list(classes)
    if isinstance(classes, str) and Path(classes).is_file():
        return read_list(Path(classes), 'the name of a class')
    names = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
    if not names:
        raise UserError(
            f'expected metainfo.classes to be a tuple of names, got {classes!r}; one name alone is '
            "written ('name',)"
        )
    return list(classes)


def steps_of(dataset: dict) -> Iterator[dict]:
    """The steps of a data set's pipeline, with those inside others."""
    yield from _steps(dataset.get('pipeline') or ())


def _steps(node) -> Iterator[dict]:
    if isinstance(node, list | tuple):
        for entry in node:
            yield from _steps(entry)
    elif hasattr(node, 'get'):
        yield node
        yield from _steps(node.get('transforms') or ())


def loads_annotations(dataset: dict) -> bool:
    """Whether the pipeline reads annotations, as far as its steps are known."""
    names = [_name(step.get('type')) for step in steps_of(dataset)]
    return not names or any('Annotations' in name and 'Empty' not in name for name in names)


def _name(kind) -> str:
    return kind if isinstance(kind, str) else getattr(kind, '__name__', '')


def is_drawn(dataset: dict) -> bool:
    """Whether a data set is drawn on first use, so that its files need not exist."""
    return _name(dataset['type']).startswith('mmvig.Mini')
