"""Prediction with a model of any MM library: pictures and numbers in memory, or as files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmvig import checkpoint as checkpoints

from .tasks import Classification, Detection, Prediction, Segmentation

TASKS = {'mmdet': Detection, 'mmseg': Segmentation, 'mmpretrain': Classification}


class Predictor:
    """A trained model of mmdet, mmseg or mmpretrain, run by the inferencer of its library.

    Args:
        cfg: config with default_scope mmdet, mmseg or mmpretrain.
        path: path of a checkpoint of the whole model.
        device: for example 'cpu' or 'cuda:0'; None selects a GPU if there is one.

    Attributes:
        task: 'detection', 'segmentation' or 'classification'.
        model: the model in eval mode.

    Raises:
        FileNotFoundError, ValueError: the scope is another one, or the checkpoint cannot be read or
            does not fit.
    """

    def __init__(self, cfg: Config, path: str, device: str | None = None) -> None:
        scope = cfg.get('default_scope')
        if scope not in TASKS:
            raise ValueError(
                f'expected a config with default_scope mmdet, mmseg or mmpretrain, got {scope!r}'
            )
        weights = checkpoints.weights_of(checkpoints.read(path), path)
        init_default_scope(scope)
        self.cfg = cfg
        self._scope = scope
        self._task = TASKS[scope](cfg, path, device)
        self.task = self._task.name
        checkpoints.check_fit(self.model, weights, path)

    @property
    def model(self) -> nn.Module:
        return self._task.inferencer.model

    @torch.inference_mode()
    def predict(
        self, images: Sequence[Path], batch_size: int = 1, score_thr: float = 0.3
    ) -> Iterator[Prediction]:
        """Predict images, a batch at a time; boxes are drawn if their score reaches `score_thr`."""
        init_default_scope(self._scope)
        yield from self._task.predict(images, batch_size, score_thr)

    def __call__(
        self, images: Sequence[Path], out: Path, batch_size: int = 1, score_thr: float = 0.3
    ) -> None:
        """Predict images of different names and write the results into the folder `out`.

        `out/vis/` gets the pictures. The predictions go to `out/preds/STEM.json` (detection: boxes,
        masks, scores), `out/pred/STEM.png` (segmentation: label maps) or `out/preds.json`
        (classification: class and score by file name).
        """
        self._task.save(self.predict(images, batch_size, score_thr), out)

    def summarize(self, prediction: Prediction, score_thr: float = 0.3) -> str:
        """A prediction in one line: counts of instances, shares of the pixels, or the class."""
        return self._task.summarize(prediction, score_thr)
