"""Small valid inputs, and changes that make them invalid."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmvig.datasets.shapes import run_lengths

from .cli import forget_runs

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64
CLASSES = ('square', 'disc')
TRAIN = 'data/train.json'
WIDTHS = [32, 64, 128, 256]

Change = Callable[[Path], None]


class Case(NamedTuple):
    """What is wrong, the command, its error message (… is anything), and how it is made wrong."""

    wrong: str
    command: str
    sees: str
    make: Change = lambda here: None


def make_inputs(folder: Path) -> None:
    """Configs det.py and seg.py with a checkpoint each, and data for both, 64×64 pixels."""
    forget_runs()
    _make_data(folder)
    for name in ('det', 'seg'):
        cfg = _config(name)
        cfg.dump(str(folder / f'{name}.py'))
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        model.init_weights()
        classes = {'det': CLASSES, 'seg': ('ground', *CLASSES)}[name]
        meta = {'classes': classes, 'palette': [[9, 99, 199]] * len(classes)}
        torch.save(
            {'state_dict': model.state_dict(), 'meta': {'dataset_meta': meta}},
            folder / f'{name}.pth',
        )


def _make_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for kind in ('images', 'masks'):
        (folder / 'data' / kind).mkdir(parents=True)
    for i in range(4):
        picture = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (SIZE, SIZE))
        labels = np.ones((SIZE, SIZE), np.uint8)
        labels[10:40, 8 + i : 36] = 2
        labels[44:60, 40:56] = 3
        cv2.imwrite(str(folder / f'data/images/{i}.jpg'), picture)
        cv2.imwrite(str(folder / f'data/masks/{i}.png'), labels)
        images.append({'id': i, 'file_name': f'{i}.jpg', 'width': SIZE, 'height': SIZE})
        for category, (x, y, w, h) in ((1, (8 + i, 10, 28 - i, 30)), (2, (40, 44, 16, 16))):
            annotations.append(
                {
                    'id': len(annotations),
                    'image_id': i,
                    'category_id': category,
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'iscrowd': 0,
                    'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)],
    }
    for split in ('train', 'val'):
        (folder / f'data/{split}.json').write_text(json.dumps(content))


def _config(name: str) -> Config:
    """The mini config of a task, on the data above, for one iteration of two images."""
    configs = {'det': 'det/vig_maskrcnn_mini.py', 'seg': 'seg/vig_upernet_mini.py'}
    cfg = Config.fromfile(ROOT / 'configs' / configs[name])
    det = name == 'det'
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=2 if split == 'train' else 1, num_workers=0)
        loader.update(persistent_workers=False)
        dataset = loader.dataset
        dataset.data_root = 'data/'
        if det:
            dataset.type = 'CocoDataset'
            dataset.metainfo = dict(classes=CLASSES)
            dataset.ann_file = TRAIN.removeprefix('data/') if split == 'train' else 'val.json'
            dataset.data_prefix = dict(img='images/')
        else:
            dataset.type = 'BaseSegDataset'
            dataset.metainfo = dict(
                classes=('ground', *CLASSES), palette=[[9, 99, 199], [1, 2, 3], [4, 5, 6]]
            )
            dataset.reduce_zero_label = True
            dataset.data_prefix = dict(img_path='images', seg_map_path='masks')
    cfg.default_hooks.logger.interval = 1
    if det:
        cfg.train_cfg.update(max_epochs=1, val_interval=10)
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = 'data/val.json'
        heads = cfg.model.roi_head
        heads.bbox_head.update(num_classes=2, fc_out_channels=32)
        heads.mask_head.num_classes = 2
        cfg.model.train_cfg.rcnn.sampler.num = 8
        cfg.model.test_cfg.rpn.max_per_img = 20
    else:
        cfg.train_cfg.update(max_iters=2, val_interval=10)
        cfg.default_hooks.checkpoint.interval = 2
        cfg.model.data_preprocessor.size = (48, 48)
        for step in cfg.train_dataloader.dataset.pipeline:
            step.update({'crop_size': (48, 48)} if 'crop_size' in step else {})
        for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
            head.update(num_classes=3, channels=16)
    cfg.crop_size = None
    return cfg


def make_runs(height: int, width: int) -> dict:
    """Run lengths of a mask whose upper left quarter is set."""
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, : width // 2] = 1
    return {'size': [height, width], 'counts': run_lengths(labels)}


def content(name: str, data: bytes | str) -> Change:
    """A file of just this."""

    def make(here: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).unlink(missing_ok=True)
        (here / name).write_bytes(data.encode() if isinstance(data, str) else data)

    return make


def cut(name: str, kept: float = 0.5) -> Change:
    def make(here: Path) -> None:
        whole = (here / name).read_bytes()
        content(name, whole[: int(len(whole) * kept)])(here)

    return make


def without(name: str) -> Change:
    return lambda here: (here / name).unlink()


def folder(name: str) -> Change:
    return lambda here: (here / name).mkdir()


def coco(change: Callable[[dict], None]) -> Change:
    """The training annotations, changed."""

    def make(here: Path) -> None:
        annotations = json.loads((here / TRAIN).read_text())
        change(annotations)
        content(TRAIN, json.dumps(annotations))(here)

    return make


def annotation(**values) -> Change:
    """The first annotation, with other values."""
    return coco(lambda coco: coco['annotations'][0].update(values))


def all_annotations(**values) -> Change:
    return coco(lambda coco: [entry.update(values) for entry in coco['annotations']])


def derived(text: str) -> Change:
    """A config bad.py that changes this of det.py."""
    return content('bad.py', f"_base_ = './det.py'\n{text}\n")


def mask(labels: Callable[[np.ndarray], np.ndarray]) -> Change:
    """All masks, changed."""

    def make(here: Path) -> None:
        for path in (here / 'data/masks').iterdir():
            labels_now = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            name = path.relative_to(here)
            content(str(name), cv2.imencode('.png', labels(labels_now))[1].tobytes())(here)

    return make


def picture(name: str, **settings) -> Change:
    """An image of Pillow, half as high as wide, with what `save` takes."""

    def make(here: Path) -> None:
        stream = io.BytesIO()
        Image.new('RGB', (SIZE, SIZE // 2)).save(stream, **settings)
        content(name, stream.getvalue())(here)

    return make


def exif(turn: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = turn
    return block


def weights(change: Callable[[dict], dict], source: str = 'det.pth') -> Change:
    """A checkpoint `changed.pth` with other weights."""

    def make(here: Path) -> None:
        checkpoint = torch.load(here / source, weights_only=True)
        checkpoint['state_dict'] = change(dict(checkpoint['state_dict']))
        torch.save(checkpoint, here / 'changed.pth')

    return make


def saved(name: str, value: Callable[[], object]) -> Change:
    return lambda here: torch.save(value(), here / name)


def zipped(name: str) -> Change:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('readme.txt', 'not a checkpoint')
    return content(name, stream.getvalue())


def safetensors(name: str) -> Change:
    """One tensor of four zeros in that format: the header's length, the header, the numbers."""
    header = json.dumps({'x': {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]}}).encode()
    return content(name, len(header).to_bytes(8, 'little') + header + bytes(16))


def both(*makers: Change) -> Change:
    def make(here: Path) -> None:
        for maker in makers:
            maker(here)

    return make
