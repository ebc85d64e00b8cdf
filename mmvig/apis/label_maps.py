"""Label maps of unlabelled images, with the labels that masks of the data set have."""

from collections.abc import Mapping
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from .tasks import Prediction


class LabelMaps:
    """Writes `DIR/NAME.png` for each image, as one trains on and as benchmarks ask for.

    With `reduce_zero_label`, as for ADE20K, labels count from 1, unlike in `Prediction.result`.

    Args:
        out: the folder.
        names: of the results by image; see `name_results`.
        cfg: config of mmseg, whose test data set tells.
        classes: number of the model's classes.

    Attributes:
        first: label of the first class.
        dtype: of the maps.
    """

    def __init__(self, out: Path, names: Mapping[Path, str], cfg: Config, classes: int) -> None:
        self._out = out
        self._names = names
        self.first = int(_reduces_zero_label(cfg))
        self.dtype = np.uint8 if classes + self.first <= 256 else np.uint16

    def __enter__(self) -> 'LabelMaps':
        return self

    def __exit__(self, *error) -> None:
        pass

    def write(self, prediction: Prediction) -> None:
        labels_YX = prediction.result.astype(self.dtype) + self.dtype(self.first)
        mmcv.imwrite(labels_YX, str(self._out / f'{self._names[prediction.image]}.png'))


def _reduces_zero_label(cfg: Config) -> bool:
    """As mmseg's inferencer does, the data set is built without reading its files."""
    dataset = dict(cfg.test_dataloader.dataset, lazy_init=True)
    with DATASETS.switch_scope_and_registry('mmseg') as registry:
        return bool(getattr(registry.build(dataset), 'reduce_zero_label', False))
