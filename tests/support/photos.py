"""Data sets in the stock layouts of COCO and ADE20K.

Real photos where the environment variable MMVIG_PHOTOS names a folder with `coco_photos/` and
`ade_samples/`; drawn images of the same sizes, labels and layout elsewhere.
"""

import json
import os
from pathlib import Path

import cv2
import numpy as np

from mmvig.datasets.shapes import draw, run_lengths

SCALE = 3  # drawn images are up to 256 pixels wide, photos up to 640


def real_photos(name: str) -> Path | None:
    folder = os.environ.get('MMVIG_PHOTOS')
    return Path(folder, name).resolve() if folder else None


def draw_coco(root: Path, images: int = 8) -> Path:
    """`annotations/instances_{train,val}2017.json` with all 80 categories, and the images."""
    from mmdet.datasets import CocoDataset

    names = CocoDataset.METAINFO['classes']
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(names)]
    (root / 'annotations').mkdir(parents=True)
    for split, first_seed in (('train', 0), ('val', 1_000)):
        folder = root / f'{split}2017'
        folder.mkdir()
        content = {'images': [], 'annotations': [], 'categories': categories}
        for seed in range(first_seed, first_seed + images):
            image, _, instances = draw(seed)
            image = _enlarge(image, cv2.INTER_CUBIC)
            name = f'{seed:012}.jpg'
            cv2.imwrite(str(folder / name), image)
            height, width = image.shape[:2]
            content['images'].append(
                {'id': seed, 'file_name': name, 'height': height, 'width': width}
            )
            for category, mask in instances:
                mask = _enlarge(mask, cv2.INTER_NEAREST)
                content['annotations'].append(
                    {
                        'id': len(content['annotations']) + 1,
                        'image_id': seed,
                        'category_id': category + 1,
                        'bbox': list(cv2.boundingRect(mask)),
                        'area': int(mask.sum()),
                        'iscrowd': 0,
                        'segmentation': {'size': [height, width], 'counts': run_lengths(mask)},
                    }
                )
        path = root / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps(content))
    return root


def draw_ade(root: Path, images: int = 3) -> Path:
    """`images/validation` and `annotations/validation`, labels from 1 to 150."""
    folders = [root / kind / 'validation' for kind in ('images', 'annotations')]
    for folder in folders:
        folder.mkdir(parents=True)
    for i in range(images):
        image, labels, _ = draw(i)
        cv2.imwrite(str(folders[0] / f'ADE_val_{i:08}.jpg'), _enlarge(image, cv2.INTER_CUBIC))
        cv2.imwrite(str(folders[1] / f'ADE_val_{i:08}.png'), _enlarge(labels, cv2.INTER_NEAREST))
    return root


def _enlarge(image: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=interpolation)
