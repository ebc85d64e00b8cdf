"""What a detector's file tells of its classes and of how images are prepared."""

from pathlib import Path

from mmdet.visualization import get_palette
from mmengine.config import Config
from torch import nn

import mmvig
from mmvig.checks.errors import UserError
from mmvig.deploy.manifest import Manifest

from ..normalization import normalization
from ..preparation import steps


def manifest(model: nn.Module, cfg: Config) -> Manifest:
    """The manifest of a detector with `dataset_meta`, but for `form`.

    Raises:
        UserError: its images are prepared as no manifest can tell, or classes have no names.
    """
    head = model.roi_head.bbox_head if hasattr(model, 'roi_head') else model.bbox_head
    count = (head[-1] if isinstance(head, nn.ModuleList) else head).num_classes
    classes, palette = model.dataset_meta['classes'], model.dataset_meta['palette']
    if len(classes) < count:
        raise UserError(
            f'expected the names of {count} classes in the checkpoint, got {len(classes)}'
        )
    if not isinstance(palette, str) and len(palette) < count:
        palette = 'random'
    return Manifest(
        task='detection',
        classes=tuple(classes[:count]),
        palette=tuple(tuple(map(int, color)) for color in get_palette(palette, count)[:count]),
        steps=steps(cfg),
        **normalization(model.data_preprocessor),
        mask_threshold=model.roi_head.test_cfg.mask_thr_binary if model.with_mask else None,
        config=Path(cfg.filename).stem if cfg.filename else '',
        version=mmvig.__version__,
        form='',
    )
