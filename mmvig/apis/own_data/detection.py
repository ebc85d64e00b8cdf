"""From a folder of boxes or masks to a config that trains a detector on it."""

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from mmvig.checks.errors import UserError
from mmvig.messages import join_some

from .choices import Choices, choose, measure
from .coco import find_coco
from .config_text import config_text, detector_settings, path_text, place, size_arguments
from .folder import Folder
from .images import examples, look_at
from .parts import Part, Parts, check_part, used_classes, write_part
from .plan import Plan, data_folder
from .report import describe_looked, describe_objects, describe_parts
from .voc import XmlFolders, as_xml_folders, find_voc
from .yolo import find_yolo

USUAL_INTERVAL = 10  # steps between the lines of the log
VOC_EVALUATION = """# mAP at an overlap of half, as Pascal VOC counts; CocoMetric needs a COCO file.
val_evaluator = dict(_delete_=True, type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator"""


def prepare_detection(folder: Folder, args: Namespace) -> Plan:
    """Look at a folder with objects in COCO, VOC or YOLO form.

    Args:
        folder: to look at.
        args: `boxes`, whether to leave masks out, and `seed` of a split that is made.

    Raises:
        UserError: it holds none of them, or files that cannot be read.
    """
    parts = _find(folder, args.seed)
    classes, unused = used_classes(parts)
    masks, notes = _choose_masks(parts, args.boxes)
    problems, left_out = _check(parts, classes, masks)
    notes += left_out
    looked = look_at(*_files(parts))
    problems += examples(looked.problems)
    lines = [*describe_parts(parts, classes, masks)]
    lines.append(describe_looked(looked))
    choices = None
    if not problems:
        sizes = measure(parts.train)
        choices = choose(sizes, len(parts.train.content['images']), masks)
        lines.append(describe_objects(sizes))
        lines += _describe_choices(choices)
    if unused:
        notes.append(f'no object of {join_some(unused)}, which the config leaves out')
    lines += [f'note     {note}' for note in [*parts.notes, *notes]]

    def write(config: Path) -> str:
        return _write(config, folder, parts, classes, masks, choices)

    return Plan('maskrcnn' if masks else 'retinanet', lines, problems, write)


def _find(folder: Folder, seed: int) -> Parts:
    for find in (find_coco, find_voc, find_yolo):
        if parts := find(folder, seed):
            return parts
    raise UserError(
        f'expected a COCO file (.json), VOC annotations (.xml) or YOLO labels (.txt beside images, '
        f'or in labels/ beside images/) in {folder.root}, found {len(folder.images())} images and '
        f'none of these among {len(folder.files)} files; for PNG masks: new-config seg'
    )


def _choose_masks(parts: Parts, boxes: bool) -> tuple[bool, list[str]]:
    """Whether to learn masks, which every object must have, and a note if only some have."""
    splits = (parts.train, parts.val)
    with_mask = sum(part.count_masks() for part in splits)
    lacking = sum(len(part.content['annotations']) for part in splits) - with_mask
    if boxes or not with_mask:
        return False, []
    if lacking:
        return False, [f'{lacking} objects have no mask, so that boxes alone are used']
    return True, []


def _check(parts: Parts, classes: list[str], masks: bool) -> tuple[list[str], list[str]]:
    """What `train` would refuse, and what it would leave out."""
    problems, notes = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for name, part in (('train', parts.train), ('val', parts.val)):
            file = Path(temporary, f'{name}.json')
            try:
                written = part if part.file else write_part(part, file)
                found = check_part(written, classes, masks, name == 'train')
                notes += [note.replace(str(file), name) for note in found]
            except UserError as error:
                problems.append(str(error).replace(str(file), name))
    return problems, notes + _shared(parts)


def _shared(parts: Parts) -> list[str]:
    train, val = (
        {part.images / entry['file_name'] for entry in part.content['images']}
        for part in (parts.train, parts.val)
    )
    both = sorted(train & val)
    return [f'{len(both)} images are in train and val, such as {both[0]}'] if both else []


def _files(parts: Parts) -> tuple[list[Path], list[tuple[int, int]]]:
    """Images of both splits that exist, with their sizes as annotated; the others are told."""
    files, sizes = [], []
    for part in (parts.train, parts.val):
        for entry in part.content['images']:
            path = part.images / entry['file_name']
            if path.is_file():
                files.append(path)
                sizes.append((entry['width'], entry['height']))
    return files, sizes


def _describe_choices(choices: Choices) -> Iterator[str]:
    size = choices.longest_side.words or choices.scale_factor.words
    for choice in (size, choices.crop_size.words, choices.anchors.words, choices.most.words):
        yield f'chosen   {choice}'
    yield f'chosen   {choices.epochs.words}'


def _write(
    config: Path, folder: Folder, parts: Parts, classes: list[str], masks: bool, choices: Choices
) -> str:
    found = parts.train.file and parts.val.file
    root = folder.root if found else None
    arguments = {'data_root': f'{path_text(root)}/'} if found else {}
    arguments['classes'] = tuple(classes)
    rest, hooks = detector_settings(choices, masks), {}
    if choices.log_interval != USUAL_INTERVAL:
        hooks['logger'] = f'dict(interval={choices.log_interval})'
    lists = {'train': as_xml_folders(parts.train), 'val': as_xml_folders(parts.val)}
    own = data_folder(config)
    if all(lists.values()):
        for name, each in lists.items():
            arguments[name] = _xml_settings(each, own / f'{name}.txt', folder.root)
        rest.append(VOC_EVALUATION)
        hooks['checkpoint'] = "dict(save_best='pascal_voc/mAP')"
    else:
        for name, part in (('train', parts.train), ('val', parts.val)):
            arguments[name] = _coco_settings(part, own / f'{name}.json', root)
    if hooks:
        settings = ', '.join(f'{name}={text}' for name, text in hooks.items())
        rest.append(f'default_hooks = dict({settings})')
    arguments |= size_arguments(choices)
    method = 'Mask R-CNN' if masks else 'RetinaNet'
    count = f'{len(classes)} {"class" if len(classes) == 1 else "classes"}'
    summary = f'{method}, multi-scale ViG nano, {folder.name}: {count} of objects.'
    recipe = f'vig-n_{"maskrcnn" if masks else "retinanet"}_small-data'
    return config_text(summary, config, recipe, arguments, rest)


def _xml_settings(lists: XmlFolders, file: Path, root: Path) -> dict:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('\n'.join(lists.names) + '\n', encoding='utf-8')
    return {
        'type': 'XMLDataset',
        'ann_file': path_text(file),
        'data_prefix': {'sub_data_root': path_text(root)},
        'img_subdir': lists.images,
        'ann_subdir': lists.annotations,
    }


def _coco_settings(part: Part, file: Path, root: Path | None) -> dict:
    part = part if part.file else write_part(part, file)
    prefix = place(part.images, root)
    return {
        'ann_file': place(part.file, root),
        'data_prefix': {'img': f'{prefix}/' if prefix else ''},
    }
