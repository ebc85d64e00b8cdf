"""Drawn stand-ins for the sets of `configs/real/`, in their folders and with their classes."""

import json
from pathlib import Path

from tests.support.own_data import coco_content, draw_images

CLASSES = {'nuclei': ('nucleus',), 'bccd': ('RBC', 'WBC', 'Platelets')}
COUNTS = {'train': 4, 'val': 2}


def write_sets(root: Path) -> Path:
    """A folder for MMVIG_REAL_DATA."""
    for name, classes in CLASSES.items():
        (root / name / 'annotations').mkdir(parents=True)
        first = 0
        for split, count in COUNTS.items():
            content = coco_content(draw_images(root / name / 'images', count, first))
            content['categories'] = [{'id': i, 'name': c} for i, c in enumerate(classes, 1)]
            for entry in content['annotations']:
                entry['category_id'] = (entry['category_id'] - 1) % len(classes) + 1
            path = root / name / f'annotations/instances_{split}.json'
            path.write_text(json.dumps(content))
            first += count
    return root
