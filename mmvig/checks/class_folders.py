"""Classification with one folder per class: mmpretrain counts labels by the folders' names.

A split that lacks a folder, or names of classes in another order, give other labels in silence.
"""

from pathlib import Path

from mmvig.messages import join_some

from .dataset_config import classes_of, prefixes_of, reads_labels
from .errors import UserError


def class_folders(dataset: dict, kind: type) -> list[str] | None:
    """The folders that stand for the classes of a data set, in the order of the labels.

    None if it takes labels from elsewhere, or has none.

    Raises:
        UserError: the config names the classes in another order.
    """
    split = dataset.get('split') or ''
    root = Path(dataset.get('data_root') or '')
    listed = dataset.get('ann_file') or (split and (root / f'meta/{split}.txt').is_file())
    if not reads_labels(kind) or listed or not dataset.get('with_label', split != 'test'):
        return None
    root /= prefixes_of(dataset).get('img_path') or split
    folders = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    classes = classes_of(dataset, kind)
    if classes is not None and sorted(classes) == folders != classes:
        raise UserError(
            f'expected the classes in the order of the folders of {root}, as mmpretrain counts '
            f'labels by it: {join_some(folders)}; got {join_some(classes)}. Change metainfo.classes'
        )
    return folders


def check_same_folders(by_split: dict[str, list[str]]) -> None:
    """All splits have the same classes.

    Args:
        by_split: the folders of each.

    Raises:
        UserError: a split has others than the first.
    """
    (first, expected), *others = by_split.items()
    for split, folders in others:
        if folders != expected:
            missing = [name for name in expected if name not in folders]
            more = [name for name in folders if name not in expected]
            got = f'no {join_some(missing)}' if missing else f'also {join_some(more)}'
            raise UserError(
                f'expected the same folders, one per class, in the {first} and the {split} data, '
                f'as labels are counted by them: {split} has {got}. A folder may be empty'
            )
