"""Label maps of segmentation: whether each is there, and which labels it has for the training."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from .errors import UserError
from .files import ExistingFiles
from .pipeline import label_problem


def check_masks(dataset: Dataset) -> None:
    """Every image of a data set of mmseg is there, with its mask if masks are read.

    Raises:
        UserError: one is not.
    """
    existing = ExistingFiles()
    masks = loader_of(dataset) is not None
    listed = Path(dataset.ann_file or '.').is_file()
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        if listed and isinstance(info.get('img_path'), str):
            image = Path(info['img_path'])
            if image not in existing:
                raise UserError(
                    f'expected the image {image}, which {dataset.ann_file} lists, there is no such '
                    f'file; names are listed without the ending, which is img_suffix of the data '
                    f'set, {dataset.img_suffix!r}'
                )
        path = Path(info.get('seg_map_path') or '.')
        if masks and path.name and path not in existing:
            raise UserError(
                f'expected the mask {path} for {info["img_path"]}, there is no such file; another '
                'ending is named by seg_map_suffix of the data set'
            )


def loader_of(dataset: Dataset):
    """The step of a data set's pipeline that loads label maps; None if there is none."""
    for step in _steps(getattr(dataset.pipeline, 'transforms', ())):
        names = [kind.__name__ for kind in type(step).__mro__]
        if any(name.startswith('Load') and 'Annotation' in name for name in names):
            return step
    return None


def _steps(node) -> Iterator[object]:
    """Steps of a pipeline, with those inside others."""
    for step in node if isinstance(node, list | tuple) else [node]:
        yield step
        inner = getattr(step, 'transforms', None)
        if inner is not None and inner is not step:
            yield from _steps(inner)


def labels_of(dataset: Dataset, loader, i: int, ignored: Collection[int]) -> set[int] | None:
    """Labels of the map of image `i` as the training gets them; None if it cannot be loaded.

    What cannot be loaded is told when its sample is, see `pipeline`.

    Raises:
        UserError: a label is neither of a class nor ignored.
    """
    try:
        data = loader(dataset.get_data_info(i))
    except Exception:
        return None
    if data['gt_seg_map'].ndim != 2:
        return None
    if problem := label_problem(data, len(dataset.metainfo['classes']), ignored):
        raise UserError(problem)
    return _values(data['gt_seg_map'])


def _values(labels: np.ndarray) -> set[int]:
    """Those that occur; counted where they are bytes, as sorting takes ten times as long."""
    if labels.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
    return set(np.unique(labels).tolist())


def why_absent(dataset: Dataset, indices: list[int], ignored: Collection[int]) -> str:
    """What the files themselves have, for labels that the training does not get."""
    labels: set[int] = set()
    for i in indices:
        try:
            with Image.open(dataset.get_data_info(i)['seg_map_path']) as mask:
                labels |= _values(np.asarray(mask))
        except (OSError, KeyError, TypeError):
            continue
    if not labels:
        return ''
    found = ', '.join(str(label) for label in sorted(labels)[:8])
    more = ' …' if len(labels) > 8 else ''
    rule = 'classes count from 0'
    if dataset.reduce_zero_label:
        rule = 'reduce_zero_label=True ignores 0 and takes 1 for the first class'
    if present := [str(label) for label in ignored if label in labels]:
        rule += f', and {", ".join(present)} is ignored'
    return f'; the files have {found}{more}: {rule}'
