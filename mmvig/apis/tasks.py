"""What detection, segmentation and classification each do with the inferencer of their library.

The libraries differ in how inferencers load, draw and return. A task hides that: `prepare` makes a
batch, `predict` gives its results, `summarize` tells one in a line of text.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.config import Config

from .class_names import whole_palette
from .images import ModelInput, to_rgb


class Prediction(NamedTuple):
    """The result for one image.

    `image` is what was predicted, a path or an array. `picture_YXC` is the image with the
    prediction drawn over it, RGB in uint8, or None if nothing was to be drawn. `result` is a dict
    with boxes, labels, scores and masks as run lengths (detection), a label map [Y, X] in uint8, or
    uint16 for more than 256 classes (segmentation), or a dict with class and score
    (classification). `size_YX` is the height and width of the image, or empty if the test pipeline
    does not pack its `ori_shape`.
    """

    image: ModelInput
    picture_YXC: np.ndarray | None
    result: dict | np.ndarray
    size_YX: tuple[int, ...]


class Task(ABC):
    """One of the three tasks, with the inferencer of its library.

    Attributes:
        name: of the task.
        inferencer: holds model, test pipeline and visualizer.
    """

    name: str

    def __init__(self, cfg: Config) -> None:
        steps = cfg.test_dataloader.dataset.pipeline
        self._loads_gray = any('gray' in str(step.get('color_type', '')) for step in steps)

    @property
    @abstractmethod
    def classes(self) -> Sequence[str] | None:
        """The names of the model's classes."""

    @abstractmethod
    def name_classes(self, names: Sequence[str]) -> None:
        """Let the inferencer report and draw classes by these names."""

    def prepare(self, images: Sequence[ModelInput]) -> object:
        """The batch that the model takes, made by the test pipeline."""
        inputs = list(map(self._as_input, images))
        return next(iter(self.inferencer.preprocess(inputs, batch_size=len(inputs))))

    def _as_input(self, image: ModelInput) -> str | np.ndarray:
        """What the inferencer takes: a path, or pixels as its pipeline would have loaded them."""
        if isinstance(image, Path):
            return str(image)
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if self._loads_gray else image

    def predict(
        self, images: Sequence[ModelInput], batch: object, score_thr: float, draw: bool
    ) -> list[Prediction]:
        """The results of a batch that `prepare` made of these images."""
        samples = self.inferencer.forward(batch)
        pictures = [None] * len(images)
        if draw:
            pictures = self.draw([to_rgb(image) for image in images], samples, score_thr)
        return [
            Prediction(image, picture, self.result(sample), tuple(sample.get('ori_shape', ())[:2]))
            for image, picture, sample in zip(images, pictures, samples, strict=True)
        ]

    @abstractmethod
    def draw(
        self, pictures_YXC: list[np.ndarray], samples: list, score_thr: float
    ) -> list[np.ndarray]:
        """The pictures, RGB, with predictions drawn over them."""

    @abstractmethod
    def result(self, sample: object) -> dict | np.ndarray:
        """A data sample of the library as `Prediction.result`."""

    @abstractmethod
    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        """A prediction in one line."""


class Detection(Task):
    """Boxes, and masks if the model has them, of mmdet's models."""

    name = 'detection'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmdet.apis import DetInferencer

        super().__init__(cfg)
        self.inferencer = DetInferencer(cfg, path, device=device, show_progress=False)

    @property
    def classes(self) -> Sequence[str]:
        return self.inferencer.visualizer.dataset_meta['classes']

    def name_classes(self, names: Sequence[str]) -> None:
        self.inferencer.visualizer.dataset_meta['classes'] = names

    def prepare(self, images: Sequence[ModelInput]) -> object:
        _, batch = super().prepare(images)  # mmdet's has the inputs beside it
        return batch

    def draw(
        self, pictures_YXC: list[np.ndarray], samples: list, score_thr: float
    ) -> list[np.ndarray]:
        return self.inferencer.visualize(
            pictures_YXC, samples, return_vis=True, pred_score_thr=score_thr
        )

    def result(self, sample: object) -> dict:
        return self.inferencer.pred2dict(sample)

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        labels, scores = (prediction.result[key] for key in ('labels', 'scores'))
        counts = Counter(
            self.classes[label]
            for label, score in zip(labels, scores, strict=True)
            if score >= score_thr
        )
        listing = ', '.join(f'{count} × {name}' for name, count in counts.most_common())
        return listing or f'nothing with a score of {score_thr:g} or more'


class Segmentation(Task):
    """A label for each pixel, of mmseg's models."""

    name = 'segmentation'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmseg.apis import MMSegInferencer

        super().__init__(cfg)
        self.inferencer = MMSegInferencer(cfg, path, device=device)

    @property
    def classes(self) -> Sequence[str]:
        return self.inferencer.model.dataset_meta['classes']

    def name_classes(self, names: Sequence[str]) -> None:
        meta = self.inferencer.model.dataset_meta
        palette = whole_palette(meta.get('palette'), len(names))
        self.inferencer.model.dataset_meta = {'classes': names, 'palette': palette}

    def draw(
        self, pictures_YXC: list[np.ndarray], samples: list, score_thr: float
    ) -> list[np.ndarray]:
        return [
            picture
            if picture.size == 3  # mmseg takes the mask of a single pixel as an index
            else self.inferencer.visualize([picture], [sample], return_vis=True, opacity=0.5)[0]
            for picture, sample in zip(pictures_YXC, samples, strict=True)
        ]

    def result(self, sample: object) -> np.ndarray:
        labels_YX = sample.pred_sem_seg.data[0].cpu().numpy()
        return labels_YX.astype(np.uint8 if len(self.classes) <= 256 else np.uint16)

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        labels, counts = np.unique(prediction.result, return_counts=True)
        largest_first = np.argsort(-counts, kind='stable')
        return ', '.join(
            f'{self.classes[labels[i]]} {100 * counts[i] / prediction.result.size:.0f} %'
            for i in largest_first
        )


class Classification(Task):
    """One class for each image, of mmpretrain's models."""

    name = 'classification'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmpretrain.apis import ImageClassificationInferencer
        from mmpretrain.visualization import UniversalVisualizer

        super().__init__(cfg)
        self.inferencer = ImageClassificationInferencer(cfg, path, device=device)
        self._visualizer = UniversalVisualizer()

    @property
    def classes(self) -> Sequence[str] | None:
        return self.inferencer.classes

    def name_classes(self, names: Sequence[str]) -> None:
        self.inferencer.classes = names

    def _as_input(self, image: ModelInput) -> str | np.ndarray:
        if isinstance(image, Path) and self._loads_gray:  # mmpretrain's inferencer loads colours
            return mmcv.imread(str(image), flag='grayscale')
        return super()._as_input(image)

    def draw(
        self, pictures_YXC: list[np.ndarray], samples: list, score_thr: float
    ) -> list[np.ndarray]:
        return [
            self._visualizer.visualize_cls(picture, sample, classes=self.classes, draw_gt=False)
            for picture, sample in zip(pictures_YXC, samples, strict=True)
        ]

    def result(self, sample: object) -> dict:
        (result,) = self.inferencer.postprocess([sample], visualization=None)
        name = result.get('pred_class', int(result['pred_label']))
        return {'class': name, 'score': float(result['pred_score'])}

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        return f'{prediction.result["class"]}, {100 * prediction.result["score"]:.0f} %'
