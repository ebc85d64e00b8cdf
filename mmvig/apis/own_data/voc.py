"""Data in the form of Pascal VOC: an XML file of boxes for each image."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

from mmvig.checks.errors import UserError
from mmvig.checks.lists import read_list

from .folder import Folder, common_folder, split_of
from .images import size_of
from .parts import Part, Parts, choose_splits

XML_KEY = 'xml_file'  # of an image: where its boxes were read
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def find_voc(folder: Folder, seed: int) -> Parts | None:
    """The XML files of a folder with their images; None if it has none.

    Difficult objects are left out as in VOC's own evaluation: they get `ignore: 1`.

    Raises:
        UserError: a file is broken or lacks its image.
    """
    files = [path for path in folder.with_suffix('.xml') if _is_voc(folder.root / path)]
    if not files:
        return None
    images = {}
    for image in folder.images():
        images.setdefault(image.stem, []).append(image)
    classes: dict[str, int] = {}
    parts = {}
    for split, paths in _splits(folder, files).items():
        content = {'images': [], 'annotations': []}
        for path in paths:
            _add(content, folder.root, path, _image_of(folder.root, path, images), classes)
        parts[split] = content
    categories = [{'id': classes[name], 'name': name} for name in sorted(classes)]
    parts = {
        split: Part(content | {'categories': categories}, folder.root)
        for split, content in parts.items()
    }
    train, val, origin = choose_splits(parts, seed)
    return Parts('Pascal VOC', train, val, origin, [])


class XmlFolders(NamedTuple):
    """A split as mmdet's `XMLDataset` reads it.

    Attributes:
        names: of the images, without suffix.
        images, annotations: folders, from the root of the data.
    """

    names: list[str]
    images: str
    annotations: str


def as_xml_folders(part: Part) -> XmlFolders | None:
    """How mmdet reads a split itself; None where it cannot: it knows one folder and `.jpg`."""
    images = [PurePosixPath(entry['file_name']) for entry in part.content['images']]
    files = [PurePosixPath(entry.get(XML_KEY, '')) for entry in part.content['images']]
    image_folders, xml_folders = ({path.parent for path in paths} for paths in (images, files))
    known = len(image_folders) == len(xml_folders) == 1 and all(p.suffix == '.jpg' for p in images)
    if not known or not all(path.suffix == '.xml' for path in files):
        return None
    names = [path.stem for path in files]
    return XmlFolders(names, str(image_folders.pop()), str(xml_folders.pop()))


def _is_voc(path: Path) -> bool:
    try:
        return ElementTree.parse(path).getroot().tag == 'annotation'
    except (ElementTree.ParseError, OSError) as error:
        raise UserError(f'expected XML in {path}, it cannot be read as that: {error}') from error


def _splits(folder: Folder, files: list[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """By the lists in ImageSets/Main, else by folders."""
    by_stem = {path.stem: path for path in files}
    lists = {p.stem: p for p in folder.with_suffix('.txt') if p.parent.name == 'Main'}
    if 'train' in lists:
        splits = {}
        for split in lists.keys() & {'train', 'val', 'test'}:
            path = folder.root / lists[split]
            names = [line.split()[0] for line in read_list(path, 'the name of an image')]
            for name in names:
                if name not in by_stem:
                    raise UserError(f'expected {name}.xml, which {path} lists, there is none')
            splits[split] = [by_stem[name] for name in names]
        return splits
    splits = {}
    for path in files:
        splits.setdefault(split_of(path) or 'all', []).append(path)
    return splits


def _image_of(
    root: Path, path: PurePosixPath, images: dict[str, list[PurePosixPath]]
) -> PurePosixPath:
    """The image of the stem of an XML file, the nearest by folders if there are several."""
    found = images.get(path.stem)
    if not found:
        raise UserError(f'expected an image called {path.stem} for {root / path}, there is none')
    return max(found, key=lambda image: len(common_folder([path, image]).parts))


def _add(
    content: dict[str, list[dict]],
    root: Path,
    path: PurePosixPath,
    image: PurePosixPath,
    classes: dict[str, int],
) -> None:
    tree = ElementTree.parse(root / path).getroot()
    width, height = size_of(root / image)
    number = len(content['images']) + 1
    entry = {'id': number, 'file_name': str(image), 'width': width, 'height': height}
    content['images'].append(entry | {XML_KEY: str(path)})
    for item in tree.iter('object'):
        name = (item.findtext('name') or '').strip()
        try:
            x1, y1, x2, y2 = (float(item.findtext(f'bndbox/{key}')) for key in CORNERS)
        except (TypeError, ValueError):
            raise UserError(
                f'expected {", ".join(CORNERS)} in the bndbox of each object of {root / path}, one '
                f'of {name or "no name"} has not'
            ) from None
        if not name:
            raise UserError(f'expected a name for each object of {root / path}, one has none')
        category = classes.setdefault(name, len(classes) + 1)
        box = [x1 - 1, y1 - 1, x2 - x1, y2 - y1]  # pixels count from 1, as mmdet reads them
        content['annotations'].append(
            {
                'id': len(content['annotations']) + 1,
                'image_id': number,
                'category_id': category,
                'bbox': box,
                'area': box[2] * box[3],
                'iscrowd': 0,
                'ignore': int(item.findtext('difficult') or 0),
            }
        )
