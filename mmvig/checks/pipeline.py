"""A data set's pipeline that checks what it loads, and names the file when something is wrong.

Without it an unreadable image is a traceback out of a worker process, and a label out of range is
an index error in the loss, or on a GPU a device assertion, none of which names the file.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from mmengine.dataset import Compose
from PIL import Image

from .images import check_image, lacks_jpeg_end

IGNORED = 255  # what mmseg's losses and metrics leave out, unless the config says otherwise
WIDEST = 255  # label that mmseg keeps of masks with more bits


class SampleError(Exception):
    """Something is wrong with a file of the data; the message names it, in one line."""


class CheckedPipeline(Compose):
    """The transforms of another pipeline, each followed by a check of what it has loaded.

    Args:
        pipeline: of a data set.
        classes: names of its classes, None if it has none.
        ignored: labels of masks that the losses leave out.
    """

    def __init__(
        self,
        pipeline: Compose,
        classes: list[str] | None,
        ignored: Collection[int] = (IGNORED,),
    ) -> None:
        self.transforms = pipeline.transforms
        self.classes = classes
        self.ignored = tuple(ignored)

    def __call__(self, data: dict) -> dict | None:
        """See `mmengine.dataset.Compose`.

        Raises:
            SampleError: a file is missing, cannot be read, or does not fit the others.
        """
        image, mask = data.get('img_path'), data.get('seg_map_path')
        self._check_class(data)
        for step in self.transforms:
            had_mask = 'gt_seg_map' in data
            had_image = 'img' in data
            try:
                data = step(data)
            except Exception as error:
                raise SampleError(_cause(type(step).__name__, image, mask, error)) from error
            if data is None:
                return None
            if not had_image and 'img' in data:
                _check_whole(image)
                _check_size(data)
            if not had_mask and 'gt_seg_map' in data:
                self._check_labels(data)
        return data

    def _check_labels(self, data: dict) -> None:
        labels, path = data['gt_seg_map'], data.get('seg_map_path')
        if labels.ndim != 2:
            raise SampleError(
                f'expected a mask with one label per pixel, {path} has {labels.shape[-1]} channels '
                f'({data["img_path"]})'
            )
        if labels.shape != tuple(data.get('ori_shape', labels.shape)):
            raise SampleError(
                f'expected the mask {path} to have the size of its image, '
                f'{_size(data["ori_shape"])}, got {_size(labels.shape)} ({data["img_path"]})'
            )
        if self.classes is None or 'reduce_zero_label' not in data:
            return  # not mmseg's: maps beside boxes count other classes
        problem = label_problem(data, len(self.classes), self.ignored)
        if problem:
            raise SampleError(problem)

    def _check_class(self, data: dict) -> None:
        """The label of an image, or its labels, are of the classes: mmpretrain does not ask."""
        if self.classes is None or isinstance(data.get('gt_label', {}), dict):  # of several tasks
            return
        for label in np.atleast_1d(np.asarray(data['gt_label'], object)).tolist():
            if not is_class(label, len(self.classes)):
                raise SampleError(
                    f'expected a label 0 … {len(self.classes) - 1} for {len(self.classes)} '
                    f'classes, {data.get("img_path")} has {label!r}'
                )


def label_problem(data: dict, count: int, ignored: Collection[int]) -> str | None:
    """What is wrong with the labels of a map of mmseg as it is loaded; None if nothing.

    Args:
        data: of the sample, with `gt_seg_map`, `seg_map_path` and `reduce_zero_label`.
        count: number of classes.
        ignored: labels that the losses leave out.
    """
    labels, path = data['gt_seg_map'], data.get('seg_map_path')
    wrong = np.unique(labels[labels >= count]).astype(int)
    wrong = wrong[~np.isin(wrong, tuple(ignored))]
    shift = 1 if data['reduce_zero_label'] else 0
    if not wrong.size and path is not None:
        wrong = _wide_labels(path) - shift
    if not wrong.size:
        return None
    names = ['0'] * shift + [str(label) for label in ignored]
    kept = f' (and {", ".join(names)}, ignored)' if names else ''
    return (
        f'expected labels {shift} … {count - 1 + shift}{kept} for {count} classes, {path} has '
        f'{", ".join(str(label + shift) for label in wrong[:5])}'
    )


def is_class(label, count: int) -> bool:
    """Whether a label is a whole number from 0 to below `count`."""
    return isinstance(label, int | np.integer) and 0 <= label < count


def _wide_labels(path: str) -> np.ndarray:
    """Labels above 255 of a mask of 16 or 32 bits, of which mmseg keeps the lowest 8."""
    try:
        with Image.open(path) as mask:  # reads the header only
            if not mask.mode.startswith(('I', 'F')):
                return np.zeros(0, int)
            labels = np.unique(np.asarray(mask)).astype(int)
    except OSError:  # not a local file, or one that another loader reads
        return np.zeros(0, int)
    return labels[labels > WIDEST]


def _check_whole(image: str | None) -> None:
    """Some versions of OpenCV return a part of an image without an error."""
    if image and '://' not in str(image) and Path(image).is_file() and lacks_jpeg_end(image):
        try:
            check_image(image)
        except ValueError as problem:
            raise SampleError(str(problem)) from problem


def _check_size(data: dict) -> None:
    """The annotation file and the image must speak of the same pixels."""
    if 'height' not in data or 'ori_shape' not in data:
        return
    annotated = (data['height'], data['width'])
    if annotated != tuple(data['ori_shape'][:2]):
        raise SampleError(
            f'expected {data["img_path"]} to be {_size(annotated)} as its annotations say, it is '
            f'{_size(data["ori_shape"])} (turned as its EXIF orientation asks, if it has one)'
        )


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[1]}×{shape[0]}'


def _cause(step: str, image: str | None, mask: str | None, error: Exception) -> str:
    """The problem of the image or the mask if one of them is damaged, else the error itself."""
    for path in _local(step, image, mask):
        try:
            check_image(path)
        except ValueError as problem:
            return str(problem)
    text = ' '.join(str(error).split())
    about = f'{image} and {mask}' if mask else str(image)
    return f'{step} failed on {about}: {type(error).__name__}: {text}'


def _local(step: str, image: str | None, mask: str | None) -> Iterator[str]:
    if 'Load' in step:
        yield from (str(path) for path in (image, mask) if path and '://' not in str(path))
