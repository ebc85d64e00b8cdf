"""What detection, segmentation and classification each do with the inferencer of their library.

The libraries differ in what an inferencer returns and writes. A task hides that: `predict` yields
the results of each image, `save` writes them, `summarize` tells one in a line of text.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import mmcv
import mmengine
import numpy as np
from mmengine.config import Config


class Prediction(NamedTuple):
    """The result for one image.

    `picture_YXC` is the image with the prediction drawn over it, RGB in uint8. `result` is a dict
    with boxes, labels, scores and masks as run lengths (detection), a label map [Y, X] in uint8
    (segmentation), or a dict with class and score (classification).
    """

    image: Path
    picture_YXC: np.ndarray
    result: dict | np.ndarray


class Detection:
    """Boxes, and masks if the model has them, of mmdet's models."""

    name = 'detection'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmdet.apis import DetInferencer

        self.inferencer = DetInferencer(cfg, path, device=device, show_progress=False)

    def predict(
        self, images: Sequence[Path], batch_size: int, score_thr: float
    ) -> Iterator[Prediction]:
        for batch in _batches(images, batch_size):
            results = self.inferencer(
                [str(image) for image in batch],
                batch_size=batch_size,
                return_vis=True,
                pred_score_thr=score_thr,
            )
            yield from map(Prediction, batch, results['visualization'], results['predictions'])

    def save(self, predictions: Iterable[Prediction], out: Path) -> None:
        for image, picture_YXC, result in predictions:
            _write_picture(picture_YXC, out / 'vis' / image.name)
            mmengine.dump(result, str(out / f'preds/{image.stem}.json'))

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        classes = self.inferencer.visualizer.dataset_meta['classes']
        labels, scores = (prediction.result[key] for key in ('labels', 'scores'))
        counts = Counter(
            classes[label]
            for label, score in zip(labels, scores, strict=True)
            if score >= score_thr
        )
        listing = ', '.join(f'{count} × {name}' for name, count in counts.most_common())
        return listing or f'nothing with a score of {score_thr:g} or more'


class Segmentation:
    """A label for each pixel, of mmseg's models."""

    name = 'segmentation'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmseg.apis import MMSegInferencer

        self.inferencer = MMSegInferencer(cfg, path, device=device)
        self.inferencer.show_progress = False  # mmseg 1.2 takes no such argument

    def predict(
        self, images: Sequence[Path], batch_size: int, score_thr: float
    ) -> Iterator[Prediction]:
        for batch in _batches(images, batch_size):
            results = self.inferencer(
                [str(image) for image in batch], batch_size=batch_size, return_vis=True, opacity=0.5
            )
            pictures, maps = results['visualization'], results['predictions']
            if len(batch) == 1:  # mmseg takes a single result out of its list
                pictures, maps = [pictures], [maps]
            for image, picture_YXC, labels_YX in zip(batch, pictures, maps, strict=True):
                yield Prediction(image, picture_YXC, labels_YX.astype(np.uint8))

    def save(self, predictions: Iterable[Prediction], out: Path) -> None:
        for image, picture_YXC, labels_YX in predictions:
            _write_picture(picture_YXC, out / 'vis' / image.name)
            mmcv.imwrite(labels_YX, str(out / f'pred/{image.stem}.png'))

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        classes = self.inferencer.visualizer.dataset_meta['classes']
        labels, counts = np.unique(prediction.result, return_counts=True)
        largest_first = np.argsort(-counts, kind='stable')
        return ', '.join(
            f'{classes[labels[i]]} {100 * counts[i] / prediction.result.size:.0f} %'
            for i in largest_first
        )


class Classification:
    """One class for each image, of mmpretrain's models."""

    name = 'classification'

    def __init__(self, cfg: Config, path: str, device: str | None) -> None:
        from mmpretrain.apis import ImageClassificationInferencer
        from mmpretrain.visualization import UniversalVisualizer

        self.inferencer = ImageClassificationInferencer(cfg, path, device=device)
        self._visualizer = UniversalVisualizer()

    def predict(
        self, images: Sequence[Path], batch_size: int, score_thr: float
    ) -> Iterator[Prediction]:
        samples = self.inferencer(
            [str(image) for image in images], batch_size=batch_size, return_datasamples=True
        )
        results = self.inferencer.postprocess(samples, visualization=None)
        for image, sample, result in zip(images, samples, results, strict=True):
            picture_YXC = self._visualizer.visualize_cls(
                mmcv.imread(str(image), channel_order='rgb'),
                sample,
                classes=self.inferencer.classes,
                draw_gt=False,
            )
            name = result.get('pred_class', int(result['pred_label']))
            score = float(result['pred_score'])
            yield Prediction(image, picture_YXC, {'class': name, 'score': score})

    def save(self, predictions: Iterable[Prediction], out: Path) -> None:
        classes = {}
        for image, picture_YXC, result in predictions:
            _write_picture(picture_YXC, out / f'vis/{image.stem}.png')
            classes[image.name] = result
        (out / 'preds.json').write_text(json.dumps(classes, indent=2) + '\n')

    def summarize(self, prediction: Prediction, score_thr: float) -> str:
        return f'{prediction.result["class"]}, {100 * prediction.result["score"]:.0f} %'


def _batches(images: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for first in range(0, len(images), size):
        yield images[first : first + size]


def _write_picture(picture_YXC: np.ndarray, path: Path) -> None:
    # Unlike OpenCV's, this function reports a full disk.
    mmcv.imwrite(mmcv.rgb2bgr(picture_YXC), str(path))
