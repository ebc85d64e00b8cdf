"""Small folders of drawn data in the formats that `new-config` reads."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmvig.datasets.shapes import CLASSES, draw, run_lengths

COUNT = 8


def draw_images(folder: Path, count: int = COUNT, first: int = 0) -> list[tuple]:
    """Write JPEG files; of each its name, the shape, and the instances (class, mask)."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(first, first + count):
        image, _, instances = draw(seed)
        cv2.imwrite(str(folder / f'{seed:03}.jpg'), image)
        found.append((f'{seed:03}', image.shape[:2], instances))
    return found


def box_of(mask: np.ndarray) -> list[int]:
    return list(cv2.boundingRect(mask.astype(np.uint8)))


def coco_content(found: list[tuple], masks: bool = True) -> dict:
    content = {'images': [], 'annotations': [], 'categories': []}
    content['categories'] = [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]
    for number, (name, (height, width), instances) in enumerate(found, 1):
        content['images'].append(
            {'id': number, 'file_name': f'{name}.jpg', 'width': width, 'height': height}
        )
        for category, mask in instances:
            entry = {
                'id': len(content['annotations']) + 1,
                'image_id': number,
                'category_id': category + 1,
                'bbox': box_of(mask),
                'area': int(mask.sum()),
                'iscrowd': 0,
            }
            if masks:
                counts = run_lengths(mask)
                entry['segmentation'] = {'size': [height, width], 'counts': counts}
            content['annotations'].append(entry)
    return content


def write_coco(root: Path, masks: bool = True) -> Path:
    """One file, which names no split."""
    found = draw_images(root / 'images')
    (root / 'labels.json').write_text(json.dumps(coco_content(found, masks)))
    return root


def write_voc(root: Path, lists: bool = True) -> Path:
    found = draw_images(root / 'JPEGImages')
    (root / 'Annotations').mkdir()
    for name, (height, width), instances in found:
        objects = ''
        for category, mask in instances:
            x, y, w, h = box_of(mask)
            objects += (
                f'<object><name>{CLASSES[category]}</name><difficult>0</difficult><bndbox>'
                f'<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w + 1}</xmax>'
                f'<ymax>{y + h + 1}</ymax></bndbox></object>'
            )
        size = f'<size><width>{width}</width><height>{height}</height><depth>3</depth></size>'
        text = f'<annotation><filename>{name}.jpg</filename>{size}{objects}</annotation>'
        (root / f'Annotations/{name}.xml').write_text(text)
    if lists:
        (root / 'ImageSets/Main').mkdir(parents=True)
        names = [name for name, _, _ in found]
        for split, part in (('train', names[:-2]), ('val', names[-2:])):
            (root / f'ImageSets/Main/{split}.txt').write_text('\n'.join(part) + '\n')
    return root


def write_yolo(root: Path) -> Path:
    for split, count, first in (('train', COUNT, 0), ('val', 2, 100)):
        (root / f'labels/{split}').mkdir(parents=True)
        for name, (height, width), instances in draw_images(root / f'images/{split}', count, first):
            lines = []
            for category, mask in instances:
                x, y, w, h = box_of(mask)
                centre = (x + w / 2) / width, (y + h / 2) / height
                numbers = (*centre, w / width, h / height)
                lines.append(' '.join(map(str, (category, *numbers))))
            (root / f'labels/{split}/{name}.txt').write_text('\n'.join(lines) + '\n')
    names = '\n'.join(f'  {i}: {name}' for i, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(f'train: images/train\nval: images/val\nnames:\n{names}\n')
    return root


def write_masks(root: Path, palette: bool = False) -> Path:
    """Labels 0 (ground) … 5, and some pixels of 255."""
    (root / 'masks').mkdir(parents=True)
    for name, shape, instances in draw_images(root / 'images'):
        labels = np.zeros(shape, np.uint8)
        for category, mask in instances:
            labels[mask > 0] = category + 1
        labels[:2] = 255
        image = Image.fromarray(labels)
        if palette:
            image = Image.fromarray(labels, 'P')
            image.putpalette(list(range(256)) * 3)
        image.save(root / f'masks/{name}_mask.png')
    (root / 'classes.txt').write_text('\n'.join(('ground', *CLASSES)) + '\n')
    return root


def changed_coco(change):
    """A folder in COCO form, changed by a function of its content and its path."""

    def write(root: Path) -> None:
        found = draw_images(root / 'images')
        content = coco_content(found)
        change(content, root)
        (root / 'all.json').write_text(json.dumps(content))

    return write
