"""The folder of results: pictures and predictions, each image's files named by its name."""

import json
from collections.abc import Mapping
from pathlib import Path

import mmcv
import mmengine
import numpy as np

from .names import file_name, picture_name
from .tasks import Prediction


class ResultFolder:
    """Writes predictions of images as they come; what was written stays if a later one fails.

    Args:
        out: the folder; made if need be.
        task: 'detection', 'segmentation' or 'classification'.
        names: of the results by image; see `name_results`.

    Attributes:
        pictures: the paths of the pictures written.
    """

    def __init__(self, out: Path, task: str, names: Mapping[Path, str]) -> None:
        self.pictures: list[Path] = []
        self._out = out
        self._task = task
        self._names = names
        self._classes: dict[str, dict] = {}

    def __enter__(self) -> 'ResultFolder':
        return self

    def __exit__(self, *error) -> None:
        if self._classes:
            text = json.dumps(self._classes, indent=2, ensure_ascii=False) + '\n'
            (self._out / 'preds.json').write_text(text, encoding='utf-8')

    def write(self, prediction: Prediction) -> None:
        path, result = prediction.image, prediction.result
        name = self._names[path]
        if prediction.picture_YXC is not None:
            self._write_picture(prediction.picture_YXC, path, name)
        if self._task == 'detection':
            mmengine.dump(result, str(self._out / f'preds/{name}.json'))
        elif self._task == 'segmentation':
            mmcv.imwrite(result, str(self._out / f'pred/{name}.png'))
        else:
            self._classes[file_name(path, name)] = result

    def _write_picture(self, picture_YXC: np.ndarray, path: Path, name: str) -> None:
        # Classes are always drawn into PNG files: letters suffer most from JPEG.
        drawn = picture_name(path, name) if self._task != 'classification' else f'{name}.png'
        self.pictures.append(self._out / 'vis' / drawn)
        # Unlike OpenCV's, this function reports a full disk.
        mmcv.imwrite(mmcv.rgb2bgr(picture_YXC), str(self.pictures[-1]))
