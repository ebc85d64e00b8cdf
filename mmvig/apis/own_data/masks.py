"""Data for segmentation: images, and of each a PNG whose pixels are labels."""

import random
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmvig.checks.errors import UserError
from mmvig.checks.lists import evenly, read_list
from mmvig.checks.problems import Problems
from mmvig.messages import join_some

from .folder import Folder, common_folder, split_of
from .parts import hold_out
from .yolo import NAME_LISTS

MASK_WORDS = ('mask', 'label', 'annotation', 'segmentation', 'gt', 'groundtruth')
READ = 400  # masks whose labels are counted, evenly spread
IGNORED = 255


class MaskPart(NamedTuple):
    """A split as mmseg's `BaseSegDataset` reads it.

    Attributes:
        images, masks: folders, from the root of the data.
        names: of the images, from their folder and without suffix.
    """

    images: PurePosixPath
    masks: PurePosixPath
    names: list[str]


class Masks(NamedTuple):
    """What was found of data for segmentation.

    Attributes:
        train, val: the splits.
        image_suffix, mask_suffix: what follows the names.
        made: whether the split was made, so that lists of the names are needed.
        origin: where the splits come from, in words.
        class_names: from a list in the folder; None without.
        notes: on what was found beside, in words.
    """

    train: MaskPart
    val: MaskPart
    image_suffix: str
    mask_suffix: str
    made: bool
    origin: str
    class_names: list[str] | None
    notes: list[str]

    def files(self, part: MaskPart) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
        """Images and masks of a split, from the root of the data."""
        images = [part.images / f'{name}{self.image_suffix}' for name in part.names]
        return images, [part.masks / f'{name}{self.mask_suffix}' for name in part.names]


class Labels(NamedTuple):
    """What masks hold.

    Attributes:
        pixels: number of pixels by label.
        images: number of masks that have the label.
        read: number of masks that were read.
        problems: what is wrong, with examples.
    """

    pixels: Counter[int]
    images: Counter[int]
    read: int
    problems: Problems


def find_masks(folder: Folder, seed: int) -> Masks:
    """Pairs of images and masks; masks lie in folders whose names say so.

    Raises:
        UserError: there are none, an image has no mask, or the suffixes are not the same.
    """
    pictures = folder.images()
    masks = [path for path in pictures if path.suffix.lower() == '.png' and _in_masks(path)]
    images = [path for path in pictures if not _in_masks(path)]
    if not masks or not images:
        raise UserError(
            f'expected images and masks of labels (PNG) in {folder.root}, such as images/a.jpg and '
            f'masks/a.png, found {len(images)} images and {len(masks)} masks: name the folder of '
            f'the masks {" or ".join(MASK_WORDS[:3])}'
        )
    ending = _mask_ending(images, masks)
    images, notes = _with_masks(images, {mask.stem for mask in masks}, ending)
    suffixes = Counter(path.suffix for path in images)
    if len(suffixes) > 1:
        raise UserError(
            f'expected images of one suffix in {folder.root}, as mmseg reads a set, got '
            f'{", ".join(f"{count} {suffix}" for suffix, count in suffixes.items())}'
        )
    splits = {}
    for image in images:
        splits.setdefault(split_of(image) or 'all', []).append(image)
    parts = {split: _part(folder, paths, masks, ending) for split, paths in splits.items()}
    train, val, made, origin = _choose(parts, seed)
    lists = [path for path in folder.files if path.name in NAME_LISTS]
    names = [line.strip() for path in lists[:1] for line in read_list(folder.root / path, 'a name')]
    spare = len(masks) - sum(len(part.names) for part in parts.values())
    if spare > 0:
        notes.append(f'{spare} masks without an image, which are not used')
    suffix = next(iter(suffixes))
    return Masks(train, val, suffix, f'{ending}.png', made, origin, names or None, notes)


def _in_masks(path: PurePosixPath) -> bool:
    return any(part.lower().startswith(MASK_WORDS) for part in path.parts[:-1])


def _with_masks(
    images: list[PurePosixPath], stems: set[str], ending: str
) -> tuple[list[PurePosixPath], list[str]]:
    """Images of the top folders that have any with masks, and a note on the others."""
    tops = {image.parts[0] for image in images if image.stem + ending in stems}
    rest = [image for image in images if image.parts[0] not in tops]
    notes = [f'{len(rest)} images such as {rest[0]} are no pairs and are not used'] if rest else []
    return [image for image in images if image.parts[0] in tops], notes


def _mask_ending(images: list[PurePosixPath], masks: list[PurePosixPath]) -> str:
    """What the names of masks have behind those of their images, such as `_mask`."""
    stems = {path.stem for path in images}
    if any(mask.stem in stems for mask in masks):
        return ''
    endings = Counter(
        mask.stem[len(stem) :]
        for mask in masks[:50]
        for stem in stems
        if mask.stem.startswith(stem)
    )
    if not endings:
        raise UserError(
            f'expected masks with the names of the images, such as {images[0].stem}.png, got '
            f'{join_some((mask.name for mask in masks), 2)}'
        )
    return endings.most_common(1)[0][0]


def _part(
    folder: Folder, images: list[PurePosixPath], masks: list[PurePosixPath], ending: str
) -> MaskPart:
    by_name: dict[str, list[PurePosixPath]] = {}
    for mask in masks:
        by_name.setdefault(mask.stem, []).append(mask)
    split = split_of(images[0])
    pairs = []
    for image in images:
        found = by_name.get(image.stem + ending)
        if not found:
            raise UserError(
                f'expected a mask {image.stem}{ending}.png for {folder.root / image}, there is none'
            )
        same = [mask for mask in found if split_of(mask) == split]
        pairs.append((image, (same or found)[0]))
    image_folder = common_folder(image for image, _ in pairs)
    mask_folder = common_folder(mask for _, mask in pairs)
    names = [image.relative_to(image_folder).with_suffix('') for image, _ in pairs]
    for name, (image, mask) in zip(names, pairs, strict=True):
        expected = mask_folder / f'{name}{ending}.png'
        if mask != expected:
            raise UserError(
                f'expected the mask of {image} at {expected}, as mmseg pairs them, it is {mask}'
            )
    return MaskPart(image_folder, mask_folder, [str(name) for name in names])


def _choose(parts: dict[str, MaskPart], seed: int) -> tuple[MaskPart, MaskPart, bool, str]:
    train = parts.get('train') or parts.get('all')
    if train is None:
        raise UserError(f'expected data to train on, found only those of {", ".join(parts)}')
    for name in ('val', 'test'):
        if name in parts:
            return train, parts[name], False, f'train and {name} found'
    names = list(train.names)
    held, words = hold_out(len(names), seed)
    random.Random(seed).shuffle(names)
    val, rest = sorted(names[:held]), sorted(names[held:])
    return train._replace(names=rest), train._replace(names=val), True, words


def read_labels(root: Path, images: list[PurePosixPath], masks: list[PurePosixPath]) -> Labels:
    """Count the labels of masks, and compare their sizes with those of the images."""
    pixels, occur, problems = Counter(), Counter(), Problems()
    rows = evenly(len(masks), READ)
    for i in rows:
        path = root / masks[i]
        try:
            with Image.open(path) as image:
                mode, size, values = image.mode, image.size, np.asarray(image)
            with Image.open(root / images[i]) as image:
                expected = image.size
        except OSError as error:
            problems.add('unreadable', f'{path} or its image cannot be read: {error}')
            continue
        if values.ndim != 2:
            words = f'{path} has {mode} pixels, expected one label each: grey or palette'
            problems.add('colour', words)
            continue
        if size != expected:
            problems.add(
                'size',
                f'the mask {path} is {size[0]}×{size[1]}, its image {expected[0]}×{expected[1]}',
            )
        labels, counts = np.unique(values.astype(np.int64), return_counts=True)
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
            pixels[label] += count
            occur[label] += 1
        if labels[-1] > IGNORED:
            problems.add('wide', f'{path} has the label {labels[-1]}, mmseg reads 0 … {IGNORED}')
    return Labels(pixels, occur, len(rows), problems)
