"""Whether the categories of a COCO file are the classes of the config, as mmdet counts them.

mmdet numbers labels in the order of the file, whatever the config says, ignores names that the file
lacks, and takes every category of a name for a class of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmvig.messages import join_some

from .errors import UserError


def check_categories(
    path: Path,
    classes: Sequence[str] | None,
    categories: list[dict],
    counts: Mapping[object, int],
) -> None:
    """Every class of the config is one category of the file, in the same order.

    Args:
        path: of the file.
        classes: of the config; None if they are not known.
        categories: of the file.
        counts: number of annotations by the id of their category.

    Raises:
        UserError: it is not; says what to change.
    """
    ids = [entry['id'] for entry in categories]
    names = [entry['name'] for entry in categories]
    for i, count in Counter(ids).items():
        if count > 1:
            which = join_some(entry['name'] for entry in categories if entry['id'] == i)
            raise UserError(
                f'expected each category of {path} to have an id of its own, {which} have {i!r}'
            )
    for name, count in Counter(names).items():
        if count > 1 and (classes is None or name in classes):
            _tell_twice(
                path, name, [entry['id'] for entry in categories if entry['name'] == name], counts
            )
    if classes is not None:
        _check_classes(path, list(classes), names)


def _tell_twice(path: Path, name: str, ids: list, counts: Mapping[object, int]) -> None:
    """Exporters write the name of the set, or of a super-category, as a category too."""
    used = [i for i in ids if counts.get(i)]
    empty = [i for i in ids if not counts.get(i)]
    if len(used) <= 1 and empty:
        todo = f'remove {join_some((used and empty) or empty[1:])}, which has no annotations'
    else:
        todo = (
            f'give the annotations of all the category_id {used[0]!r} and remove the others, or '
            'rename them'
        )
    raise UserError(
        f'expected one category of each name in {path}, the ids {join_some(ids)} are all called '
        f'{name!r}, and mmdet would count each as a class: {todo}'
    )


def _check_classes(path: Path, classes: list[str], names: list[str]) -> None:
    absent = [name for name in classes if name not in names]
    if absent:
        raise UserError(
            f'expected the classes of the config in {path}, it has no {join_some(absent)}; its '
            f'categories are {join_some(names)}. Name them by metainfo=dict(classes=…)'
        )
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise UserError(
            f'expected each class once in metainfo.classes, {join_some(twice)} comes more often'
        )
    in_file = [name for name in names if name in classes]
    if in_file != classes:
        raise UserError(
            f'expected the classes in the order of {path}, as mmdet counts labels by it: '
            f'{join_some(in_file)}; got {join_some(classes)}. Change metainfo.classes'
        )
