"""The names and colours of a model's classes, from its checkpoint or else from its config.

The inferencers of the libraries take those of COCO or Cityscapes for a checkpoint without names,
such as bare weights, and mmseg's cannot draw without one colour for each class.
"""

from collections.abc import Mapping

import numpy as np
from mmengine.config import Config

from mmvig.checks.dataset_config import classes_of, inner_datasets, kind_of

COLOURS_SEED = 42  # of mmseg's own colours for data that name none


def class_names(cfg: Config, checkpoint: Mapping) -> list[str] | None:
    """The names of the classes of a model; None if neither checkpoint nor config have them."""
    meta = checkpoint.get('meta') or {}
    names = (meta.get('dataset_meta') or {}).get('classes') or meta.get('CLASSES')
    if names:
        return [names] if isinstance(names, str) else list(names)
    (_, dataset), *_ = inner_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset')
    return classes_of(dataset, kind_of(dataset, cfg.get('default_scope')))


def whole_palette(palette, count: int) -> list[list[int]]:
    """A colour for each of the classes: the given ones if they suffice, or random ones."""
    if isinstance(palette, list | tuple) and len(palette) == count:
        return palette
    return np.random.RandomState(COLOURS_SEED).randint(0, 255, (count, 3)).tolist()
