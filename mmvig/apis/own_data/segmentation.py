"""From a folder of images and masks to a config that trains a segmentor on it."""

import math
from argparse import Namespace
from pathlib import Path

from .choices import choose_side
from .config_text import config_text, path_text, place
from .folder import Folder
from .images import examples, look_at, size_of
from .masks import IGNORED, Labels, MaskPart, Masks, find_masks, read_labels
from .plan import Plan, data_folder
from .report import describe_looked, describe_masks, describe_sizes

CROP = 256
MANY_CLASSES = 200  # more labels than this are rather grey values


def prepare_segmentation(folder: Folder, args: Namespace) -> Plan:
    """Look at a folder with an image and a mask of labels each.

    Args:
        folder: to look at.
        args: `classes`, names separated by commas, or None; `zero_unlabelled`, whether the label 0
            is none of a class; `seed` of a split that is made.

    Raises:
        UserError: it holds no such pairs.
    """
    masks = find_masks(folder, args.seed)
    pairs = [masks.files(part) for part in (masks.train, masks.val)]
    images, labels_of = ([*pairs[0][i], *pairs[1][i]] for i in range(2))
    labels = read_labels(folder.root, images, labels_of)
    looked = look_at([folder.root / path for path in images])
    problems = examples(looked.problems) + examples(labels.problems)
    names = args.classes.split(',') if args.classes else masks.class_names
    classes, words = _classes(labels, names, args.zero_unlabelled)
    problems += words
    shown = ['(not labelled)', *classes] if args.zero_unlabelled else classes
    lines = [*describe_masks(masks, labels, shown), describe_looked(looked)]
    sizes = {}
    if not looked.problems:
        found = [size_of(folder.root / path) for path in images]
        lines.insert(-1, f'sizes    {describe_sizes(found)}')
        sizes, words = _choose_sizes(found)
        lines += [f'chosen   {each}' for each in words]
    if names is None and classes:
        lines.append('note     no names of the classes: write them into the config, or --classes')
    if 0 not in labels.pixels and not args.zero_unlabelled:
        lines.append('note     no mask has the label 0: if classes count from 1, --zero-unlabelled')
    lines += [f'note     {note}' for note in masks.notes]

    def write(config: Path) -> str:
        return _write(config, folder, masks, classes, args.zero_unlabelled, sizes)

    return Plan('upernet', lines, problems, write)


def _classes(
    labels: Labels, names: list[str] | None, zero_unlabelled: bool
) -> tuple[list[str], list[str]]:
    """Names of the classes, and what is wrong with the labels."""
    found = sorted(label for label in labels.pixels if label != IGNORED)
    first = 1 if zero_unlabelled else 0
    if not labels.pixels:
        return [], []
    if set(labels.pixels) == {0, IGNORED} or not found or found[-1] < first:
        return [], [
            f'the masks have the labels {", ".join(map(str, sorted(labels.pixels)))}: {IGNORED} is '
            'ignored, so that at most one class is left; write 1 for the object in its place'
        ]
    count = found[-1] + 1 - first
    if names is not None and len(names) < count:
        return names, [
            f'{len(names)} classes are named ({", ".join(names)}), the masks have the label '
            f'{found[-1]}: name {count}, labels count from {first}'
        ]
    if names is None and count > MANY_CLASSES:
        return [], [
            f'the masks have labels up to {found[-1]}, which look like grey values: write the '
            'numbers of classes, counted from 0, into their pixels'
        ]
    return list(names or (f'class_{label}' for label in range(first, found[-1] + 1))), []


def _choose_sizes(found: list[tuple[int, int]]) -> tuple[dict[str, int], list[str]]:
    """Arguments of `use_data` for images of these sizes, and why in words."""
    longest = sorted(max(size) for size in found)[len(found) // 2]
    shortest = sorted(min(size) for size in found)[len(found) // 2]
    sizes, words = {}, ['images keep their sizes']
    if side := choose_side(longest):
        sizes['longest_side'] = side
        words = [f'images resized to {side} pixels at most']
        shortest = shortest * side / longest
    crop = min(CROP, math.ceil(shortest / 32) * 32)
    if crop < CROP:
        sizes['crop_size'] = crop
    return sizes, [*words, f'training on crops of {crop}×{crop}']


def _write(
    config: Path,
    folder: Folder,
    masks: Masks,
    classes: list[str],
    zero_unlabelled: bool,
    sizes: dict[str, int],
) -> str:
    root = None if masks.made else folder.root
    arguments = {} if masks.made else {'data_root': f'{path_text(root)}/'}
    arguments['classes'] = tuple(classes)
    for name, part in (('train', masks.train), ('val', masks.val)):
        settings = {
            'data_prefix': {
                'img_path': place(folder.root / part.images, root),
                'seg_map_path': place(folder.root / part.masks, root),
            },
            'img_suffix': masks.image_suffix,
            'seg_map_suffix': masks.mask_suffix,
        }
        if masks.made:
            file = data_folder(config) / f'{name}.txt'
            settings['ann_file'] = _write_names(part, file)
        if zero_unlabelled:
            settings['reduce_zero_label'] = True
        arguments[name] = settings
    arguments |= sizes
    summary = f'UperNet, multi-scale ViG nano, {folder.name}: {len(classes)} classes.'
    return config_text(summary, config, 'vig-n_upernet_small-data', arguments, [])


def _write_names(part: MaskPart, file: Path) -> str:
    """The list of a split that no folders show."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('\n'.join(part.names) + '\n', encoding='utf-8')
    return path_text(file)
