"""The interface of a classifier or segmentor: one image of any size, and its manifest."""

from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn
from torch.export import Dim

import mmvig
from mmvig.checks.errors import UserError
from mmvig.deploy.manifest import Manifest

from .classes import classes_and_palette
from .normalization import normalization
from .preparation import steps


def make_manifest(
    task: str, model: nn.Module, cfg: Config, meta: dict | None, classes: int, **others
) -> Manifest:
    """All entries of a manifest but `form`.

    Args:
        task: of the manifest.
        model: with `data_preprocessor`.
        cfg: its config.
        meta: the data set's meta data in the checkpoint.
        classes: their number.
        others: further entries.

    Raises:
        UserError: images are prepared as no manifest can tell.
    """
    names, palette = classes_and_palette(meta, cfg, classes)
    return Manifest(
        task=task,
        classes=names,
        palette=palette,
        steps=steps(cfg),
        **normalization(model.data_preprocessor),
        config=Path(cfg.filename).stem if cfg.filename else '',
        version=mmvig.__version__,
        form='',
        **others,
    )


def image_input(model: nn.Module) -> dict:
    """`inputs`, `examples` and `dynamic_shapes` of an `Exportable` that takes images only.

    Raises:
        UserError: images are not of three channels.
    """
    channels = getattr(model.backbone, 'in_channels', 3)
    if channels != 3:
        raise UserError(f'expected images of 3 channels for an export, the model takes {channels}')
    return {
        'inputs': ('image',),
        'examples': (torch.zeros(2, 3, 320, 512),),
        'dynamic_shapes': ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},),
    }
