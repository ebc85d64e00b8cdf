"""Whether the data of a config exist and are right, asked before anything is built."""

from collections import Counter
from collections.abc import Iterator, Sequence
from logging import WARNING
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmvig.messages import join_some

from .class_folders import check_same_folders, class_folders
from .coco import Found, Reading, check_coco, why_nothing
from .coco_file import read_json
from .config import check_dataset
from .dataset_config import (
    check_fields,
    classes_of,
    inner_datasets,
    is_coco,
    is_drawn,
    kind_of,
    loads_annotations,
    prefixes_of,
    reads_labels,
    steps_of,
)
from .errors import UserError
from .lists import check_labels, check_listed_images, read_list

QUICKLY_READ = 50 << 20  # bytes of a JSON file, a second or two


def check_data(cfg: Config, *splits: str) -> None:
    """Files and folders of the splits' data sets exist; COCO files and lists of images are right.

    What training goes on without is logged.

    Raises:
        UserError: names the file, or the setting.
    """
    notes: dict[str, None] = {}  # the same data may serve to validate and to test
    folders: dict[str, list[str]] = {}
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        check_dataset(split, loader.get('dataset'))
        found, drawn = [], False
        for place, dataset in inner_datasets(loader.dataset, f'{split}_dataloader.dataset'):
            kind = kind_of(dataset, cfg.get('default_scope'))
            check_fields(place, dataset, kind)
            root = dataset.get('data_root') or ''
            drawn |= is_drawn(dataset)
            local = isinstance(root, str | Path) and '://' not in str(root)
            if dataset.get('backend_args') or not local or is_drawn(dataset):
                found.append(None)  # remote, one's own, or drawn on first use
                continue
            _check_paths(split, place, dataset)
            found.append(_check_content(cfg, split, place, dataset, kind))
            if kind and (its := class_folders(dataset, kind)) is not None:
                folders.setdefault(split, its)
        notes |= dict.fromkeys(_conclude(split, found))
        _check_evaluators(cfg, split, drawn)
    if folders:
        check_same_folders(folders)
    for note in notes:
        print_log(note, logger='current', level=WARNING)


def _check_evaluators(cfg: Config, split: str, drawn: bool) -> None:
    for evaluator in _evaluators(cfg, split):
        path = evaluator.get('ann_file')
        if not isinstance(path, str | None):
            raise UserError(f'expected {split}_evaluator.ann_file to be a path, got {path!r}')
        if path and '://' not in path and not drawn and not Path(path).is_file():
            raise UserError(
                f'the {split} evaluator has no annotations: expected {path}. Name their place: '
                f'--cfg-options {split}_evaluator.ann_file=FILE'
            )


def _evaluators(cfg: Config, split: str) -> Iterator[dict]:
    evaluators = cfg.get(f'{split}_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        if hasattr(evaluator, 'get'):
            yield evaluator


def _check_paths(split: str, place: str, dataset: dict) -> None:
    root, prefixes = dataset.get('data_root') or '', prefixes_of(dataset)
    if not loads_annotations(dataset):  # a base config may name a folder that nothing reads
        prefixes = {key: path for key, path in prefixes.items() if not key.startswith('seg')}
    for name in (dataset.get('ann_file'), *prefixes.values()):
        if isinstance(name, str) and name and not (path := Path(root, name)).exists():
            raise UserError(
                f'the {split} data are missing: expected {path}. Put or link the data set under '
                f'{root or "that place"}, or name its place: --cfg-options '
                f"{place}.data_root=DIR (and the evaluator's ann_file)"
            )


def _check_content(
    cfg: Config, split: str, place: str, dataset: dict, kind: type | None
) -> Found | None:
    """What a COCO file holds; None for other formats, of which the lists are checked."""
    if kind is None or not is_main_process():
        return None
    if is_coco(kind):
        return _check_coco(cfg, split, place, dataset, kind)
    _check_list(cfg, dataset, kind)
    return None


def _check_coco(cfg: Config, split: str, place: str, dataset: dict, kind: type) -> Found:
    if not dataset.get('ann_file'):
        raise UserError(f'expected {place}.ann_file, the path of a COCO file, there is none')
    root = dataset.get('data_root') or ''
    prefix = prefixes_of(dataset).get('img')
    masks = [step for step in steps_of(dataset) if step.get('with_mask')]
    train = split == 'train' and not dataset.get('test_mode', False)
    filters = (dataset.get('filter_cfg') or {}) if not dataset.get('test_mode', False) else {}
    reading = Reading(
        classes_of(dataset, kind),
        with_masks=bool(masks),
        poly2mask=all(step.get('poly2mask', True) for step in masks),
        min_size=filters.get('min_size', 0),
        skip_empty=filters.get('filter_empty_gt', False),
        labelled=loads_annotations(dataset) if train else _needs_labels(cfg, split),
        train=train,
    )
    folder = Path(root, prefix) if prefix is not None else None
    return check_coco(Path(root, dataset['ann_file']), folder, reading)


def _needs_labels(cfg: Config, split: str) -> bool:
    """Whether an evaluator compares with annotations, rather than write predictions only."""
    return any(
        not evaluator.get('format_only') and 'Dump' not in str(evaluator.get('type'))
        for evaluator in _evaluators(cfg, split)
    )


def _conclude(split: str, found: Sequence[Found | None]) -> Iterator[str]:
    """Notes of the COCO files of a split, and of what they hold together.

    Raises:
        UserError: there is nothing to train on.
    """
    files = [each for each in found if each]
    for each in files:
        yield from each.notes
    if not files or len(files) < len(found):
        return  # another data set may have the rest
    trained = sum((each.trained for each in files), Counter())
    paths = join_some(dict.fromkeys(each.path for each in files))
    if split == 'train' and not trained:
        why = why_nothing(each.left_out for each in files)
        names = join_some(files[0].classes)
        raise UserError(f'{paths}: expected annotations of {names} to train on, {why}')
    absent = [name for name in files[0].classes if not trained[name]]
    if absent and all(each.labelled for each in files):
        aim = 'train on' if split == 'train' else 'compare with'
        yield f'{paths}: no annotation of {join_some(absent)} to {aim}'


def _check_list(cfg: Config, dataset: dict, kind: type) -> None:
    """A list of images has no empty lines, one for mmpretrain a label for each; JSON is JSON."""
    root, split = dataset.get('data_root') or '', dataset.get('split') or ''
    path = Path(root, dataset.get('ann_file') or (f'meta/{split}.txt' if split else ''))
    if not path.is_file():
        return
    if reads_labels(kind):
        classes = classes_of(dataset, kind)
        labelled = dataset.get('with_label', split != 'test')
        lines = read_list(path, 'an image and its label' if labelled else 'an image')
        if labelled:
            head = (cfg.get('model') or {}).get('head') or {}
            count = head.get('num_classes') if classes is None else len(classes)
            check_labels(path, lines, classes, count)
            lines = [line.strip().rpartition(' ')[0] for line in lines]
        prefix = prefixes_of(dataset).get('img_path') or split
        check_listed_images(path, Path(root, prefix), lines)
    elif path.suffix == '.txt':
        read_list(path, 'the name of an image')
    elif path.suffix == '.json' and path.stat().st_size <= QUICKLY_READ:
        read_json(path)
