"""Data in COCO form: files of annotations by split, and the folders of their images."""

from pathlib import Path, PurePosixPath

from mmvig.checks.coco_file import SECTIONS, read_coco, read_json
from mmvig.checks.errors import UserError
from mmvig.messages import join_some

from .folder import Folder, prefix_of, split_of
from .parts import Part, Parts, choose_splits

LOOKED_AT = 200  # file names by which the folder of the images is found


def find_coco(folder: Folder, seed: int) -> Parts | None:
    """The COCO files of a folder; None if it has none.

    Raises:
        UserError: several claim to be of one split, one is broken, or its images are not there.
    """
    files: dict[str, list[PurePosixPath]] = {}
    for path in folder.with_suffix('.json'):
        if _is_coco(folder.root / path):
            files.setdefault(split_of(path) or 'all', []).append(path)
    if not files:
        return None
    notes = []
    if len(files) > 1 and (rest := files.pop('all', None)):
        if 'train' not in files:
            files['all'] = rest
        else:
            notes.append(f'{join_some(rest)}: names no split and is not used')
    parts = {split: _part(folder, split, paths) for split, paths in files.items()}
    if {'val', 'test'} <= parts.keys():
        notes.append(f'{files["test"][0]}: left alone, as val is there to validate on')
    train, val, origin = choose_splits(parts, seed)
    return Parts('COCO', train, val, origin, notes)


def _is_coco(path: Path) -> bool:
    """Whether a file is in COCO form with boxes, as captions and key points of COCO are not."""
    try:
        content = read_json(path)
    except UserError:
        return False
    if not isinstance(content, dict) or not all(key in content for key in SECTIONS):
        return False
    entries = content['annotations']
    return not (isinstance(entries, list) and entries and 'keypoints' in entries[0])


def _part(folder: Folder, split: str, paths: list[PurePosixPath]) -> Part:
    if len(paths) > 1:
        instances = [path for path in paths if path.name.startswith('instances')]
        if len(instances) != 1:
            what = f'the split {split}' if split != 'all' else 'no split by name'
            raise UserError(
                f'expected one COCO file of each split in {folder.root}, {join_some(paths)} are of '
                f'{what}: name them with train and val, and move the others away'
            )
        paths = instances
    path = folder.root / paths[0]
    content = read_coco(path, train=split in ('train', 'all'))
    images = content['images']
    names = [entry['file_name'] for entry in images[:LOOKED_AT]]
    nearby = sorted(folder.images(), key=lambda image: split_of(image) != split)
    prefix = prefix_of(names, nearby)
    if prefix is None:
        raise UserError(
            f'expected the images of {path} somewhere in {folder.root}, there is none called '
            f'{join_some(names, 2) or "anything"}'
        )
    return Part(content, folder.root / prefix, path)
