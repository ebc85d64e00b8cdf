"""Whether the data of a config exist and are right, asked before anything is built."""

from collections.abc import Iterator
from logging import WARNING
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope

from .coco import check_coco
from .config import check_dataset
from .errors import UserError
from .files import ExistingFiles


def check_data(cfg: Config, *splits: str) -> None:
    """Annotation files and image folders of the splits' data sets exist, and COCO files are right.

    Raises:
        UserError: names the file, or the setting.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        check_dataset(split, loader.get('dataset'))
        for dataset in _datasets(loader.dataset):
            _check_paths(cfg, split, dataset)
        evaluators = cfg.get(f'{split}_evaluator') or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            path = evaluator.get('ann_file')
            drawn = loader.dataset.type.startswith('mmvig.Mini')
            if path and '://' not in path and not drawn and not Path(path).is_file():
                raise UserError(
                    f'the {split} evaluator has no annotations: expected {path}. Name their place: '
                    f'--cfg-options {split}_evaluator.ann_file=FILE'
                )


def _datasets(dataset: dict) -> Iterator[dict]:
    """The data sets inside any wrappers."""
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    if not inner:
        yield dataset
    for wrapped in inner:
        yield from _datasets(wrapped)


def _check_paths(cfg: Config, split: str, dataset: dict) -> None:
    check_dataset(split, dataset)
    root = dataset.get('data_root') or ''
    if dataset.get('backend_args') or '://' in root or dataset['type'].startswith('mmvig.Mini'):
        return  # remote, or drawn on first use
    names = [dataset.get('ann_file')]
    prefix = dataset.get('data_prefix') or {}
    prefix = prefix if hasattr(prefix, 'values') else {'img_path': prefix}
    names += [path for path in prefix.values() if isinstance(path, str)]
    for name in names:
        if name and not (path := Path(root, name)).exists():
            raise UserError(
                f'the {split} data are missing: expected {path}. Put or link the data set under '
                f'{root or "that place"}, or name its place: --cfg-options '
                f"{split}_dataloader.dataset.data_root=DIR (and the evaluator's ann_file)"
            )
    if cfg.get('default_scope') == 'mmdet' and is_main_process():
        _check_coco(dataset, root, prefix)


def _check_coco(dataset: dict, root: str, prefix: dict) -> None:
    from mmdet.datasets import CocoDataset

    init_default_scope('mmdet')
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = registry.get(dataset['type'])
    of_coco = isinstance(kind, type) and issubclass(kind, CocoDataset)
    if not of_coco or kind.load_data_list is not CocoDataset.load_data_list:
        return  # another format
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        classes = kind.METAINFO.get('classes')
    elif isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise UserError(
            f'expected metainfo.classes to be a tuple of names, got {classes!r}; one name alone is '
            "written ('name',)"
        )
    steps = dataset.get('pipeline') or []
    filtered = (dataset.get('filter_cfg') or {}).get('filter_empty_gt', False)
    notes = check_coco(
        Path(root, dataset['ann_file']),
        Path(root, prefix['img']) if 'img' in prefix else None,
        classes,
        with_masks=any(step.get('with_mask') for step in steps),
        train=filtered and not dataset.get('test_mode', False),
    )
    for note in notes:
        print_log(note, logger='current', level=WARNING)


def check_masks(dataset) -> None:
    """Every image of a data set of mmseg has its mask.

    Raises:
        UserError: one has none.
    """
    existing = ExistingFiles()
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        path = Path(info.get('seg_map_path') or '.')
        if path.name and path not in existing:
            raise UserError(
                f'expected the mask {path} for {info["img_path"]}, there is no such file; another '
                'ending is named by seg_map_suffix of the data set'
            )
