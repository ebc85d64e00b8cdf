"""Small models, configs and files with which the documentation is tried out."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmvig.checkpoint import to_official
from mmvig.engine.build import build_model
from mmvig.models.backbones import MultiScaleViG

from .doc_pages import PAGES, ROOT, blocks

WIDTHS = [32, 64, 128, 256]  # of ViG nano


def make_workspace(folder: Path, mini_set: Path) -> None:
    """Fill a folder in which the commands and the code of the pages can run.

    It holds the project's configs, tools and benchmarks, the configs that pages define, the mini
    set as `data/mini` and `data/mine`, and photos.
    """
    for name in ('configs', 'benchmarks', 'tools'):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(mini_set, folder / 'data/mini')
    (folder / 'data/mine').symlink_to(folder / 'data/mini')
    for page in PAGES:
        for block in blocks(page, 'python'):
            if match := re.match(r'# (configs/\S+\.py)\n', block):
                (folder / match[1]).write_text(block)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    (folder / 'folder').mkdir()
    for name in ('photo.jpg', 'a.jpg', 'b.jpg', 'folder/a.jpg', 'huge.tif'):
        cv2.imwrite(str(folder / name), image)


def shrink_model(model: dict) -> None:
    """ViG nano instead of the backbone of a config, and light heads."""
    model.backbone.update(arch='nano', init_cfg=None)
    if 'roi_head' in model:
        heads = model.roi_head
        model.neck.update(in_channels=WIDTHS, out_channels=32)
        model.rpn_head.update(in_channels=32, feat_channels=32)
        for extractor in (heads.bbox_roi_extractor, heads.mask_roi_extractor):
            extractor.out_channels = 32
        heads.bbox_head.update(in_channels=32, fc_out_channels=64)
        heads.mask_head.update(in_channels=32, conv_out_channels=32)
        model.train_cfg.rpn_proposal.update(nms_pre=100, max_per_img=100)
        model.train_cfg.rcnn.sampler.num = 16
        model.test_cfg.rpn.update(nms_pre=100, max_per_img=50)
    elif 'decode_head' in model:
        model.data_preprocessor.size = (96, 96)
        model.decode_head.update(in_channels=WIDTHS, channels=32)
        model.auxiliary_head.update(in_channels=128, channels=32)
    else:
        model.head.in_channels = WIDTHS[-1]


def shorten(cfg: Config) -> Config:
    """The same training or evaluation with the smallest backbone, of a few images."""
    loop = cfg.train_cfg
    loop.update({'max_iters': 1} if 'max_iters' in loop else {'max_epochs': 1})
    loop.val_interval = 100
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        batch_size = 2 if split == 'train' else 1  # batch norms learn from several values
        loader.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
        loader.dataset.indices = 2
        for step in loader.dataset.pipeline:
            step.update({'scale': (256, 192)} if 'scale' in step else {})
            step.update({'crop_size': (96, 96)} if 'crop_size' in step else {})
    if cfg.model.backbone.arch == 'tiny':
        shrink_model(cfg.model)
    return cfg


def write_checkpoint(path: Path, cfg: Config) -> None:
    """Random weights of a config's model, as its training would save them."""
    dataset = cfg.test_dataloader.dataset
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        meta = dataset.get('metainfo') or registry.get(dataset.type).METAINFO
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    state = build_model(cfg).state_dict()
    torch.save({'state_dict': state, 'meta': {'dataset_meta': dict(meta)}}, path)


def write_exported(path: Path) -> None:
    """Where there is none yet, a file with the interface of an exported detector, made by hand."""
    from .onnx_graphs import write_model  # skips the test where onnx is not installed

    if not path.exists():
        write_model(path, 'detection')


def export_by_hand(model, path: Path, form: str | None, dtype: str, check: bool):
    """In place of `mmvig.export.export`, which traces a model for half a minute."""
    from mmvig.export.exporter import Report

    from .onnx_graphs import write_model

    write_model(path, model.manifest.task)
    return Report(path, form or 'standard', 'made by hand', 18, 1, 0.0 if check else None)


def write_official_checkpoint(path: Path) -> None:
    """Random weights of ViG nano under the names of the official code."""
    weights = to_official(MultiScaleViG(arch='nano').state_dict())
    torch.save({'model': weights}, path)


def write_log(work_dir: Path) -> None:
    """The log of a training with two iterations and one evaluation."""
    log = work_dir / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    names = ('lr', 'loss', 'grad_norm', 'loss_mask')
    lines = [dict.fromkeys(names, 1 / i) | {'iter': i, 'step': i} for i in (1, 2)]
    lines.append({'coco/bbox_mAP': 0.5, 'step': 2})
    log.write_text('\n'.join(map(json.dumps, lines)))
