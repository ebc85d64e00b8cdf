"""A model in an ONNX file: photos in, results out."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import detection, segmentation
from .drawing import draw
from .images import check_array, read_image
from .onnx_file import read_manifest
from .preprocessing import prepare
from .results import Classification, Detection, Segmentation
from .runtimes import open_file

Result = Detection | Segmentation | Classification
Image = str | os.PathLike | np.ndarray
# Outputs of the graph, of which it must have one.
OUTPUTS = {
    'detection': {'boxes'},
    'segmentation': {'logits', 'labels'},
    'classification': {'scores'},
}


class Deployed:
    """An exported model, with the results of `python -m mmvig predict`.

    Args:
        path: of a file that `python -m mmvig export` wrote.
        runtime: 'onnxruntime' or 'openvino'.
        threads: that the runtime may use; None for all cores.

    Attributes:
        manifest: what the file tells about the model, such as `task` and `classes`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another kind, or the runtime cannot run it.
        ImportError: the runtime is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        runtime: str = 'onnxruntime',
        threads: int | None = None,
    ) -> None:
        path = Path(path)
        self.manifest = read_manifest(path)
        self._runtime = open_file(path, runtime, threads, self.manifest.form)
        expected = OUTPUTS.get(self.manifest.task, set())
        if not expected & set(self._runtime.outputs):
            raise ValueError(
                f'expected a graph for {self.manifest.task} with {" or ".join(sorted(expected))} '
                f'as output, {path} has {", ".join(self._runtime.outputs)}'
            )

    def __call__(self, images: Sequence[Image]) -> list[Result]:
        """The result for each image.

        Args:
            images: paths, or BGR uint8 arrays [rows, columns, 3] as `cv2.imread` gives them.

        Raises:
            FileNotFoundError, ValueError: one is no image, or too narrow for the model.
            RuntimeError: the runtime failed, for example by lack of memory.
        """
        if isinstance(images, str | os.PathLike) or getattr(images, 'ndim', 0) == 3:
            raise ValueError('expected a list of images, got a single one: put it into a list')
        return [self._predict(_load(image)) for image in images]

    def draw(self, image: Image, result: Result, score_thr: float = 0.3) -> np.ndarray:
        """The image with its result over it, BGR uint8; instances from `score_thr` on."""
        return draw(_load(image), result, self.manifest, score_thr)

    def _predict(self, photo_YXC: np.ndarray) -> Result:
        image_NCYX, size = prepare(photo_YXC, self.manifest)
        photo_size = photo_YXC.shape[:2]
        if self.manifest.task == 'detection':
            outputs = self._run(image_NCYX, image_size=np.array(size, np.int64))
            return detection.to_photo(outputs, size, photo_size, self.manifest.mask_threshold)
        if self.manifest.task == 'segmentation':
            return Segmentation(self._label_map(image_NCYX, size, photo_size))
        (scores,) = self._run(image_NCYX)['scores']
        label = int(scores.argmax())
        return Classification(label, self.manifest.classes[label], float(scores[label]))

    def _label_map(
        self, image_NCYX: np.ndarray, size: tuple[int, int], photo_size: tuple[int, int]
    ) -> np.ndarray:
        if 'labels' in self._runtime.outputs:
            labels_YX = self._run(image_NCYX)['labels'][0, : size[0], : size[1]]
            kind = segmentation.label_type(len(self.manifest.classes))
            return segmentation.resize_labels(labels_YX.astype(kind), photo_size)
        window = self.manifest.sliding_window
        if window:
            logits = segmentation.slide(
                lambda part: self._run(part)['logits'],
                image_NCYX,
                window['crop'],
                window['stride'],
            )
        else:
            logits = self._run(image_NCYX)['logits']
        return segmentation.label_map(
            logits[0, :, : size[0], : size[1]], photo_size, self.manifest.align_corners
        )

    def _run(self, image_NCYX: np.ndarray, **others: np.ndarray) -> dict[str, np.ndarray]:
        try:
            return self._runtime({'image': image_NCYX, **others})
        except Exception as error:  # each runtime has errors of its own
            size = '×'.join(map(str, image_NCYX.shape[2:]))
            raise RuntimeError(f'the runtime failed on an image of {size}: {error}') from error


def _load(image: Image) -> np.ndarray:
    return check_array(image) if isinstance(image, np.ndarray) else read_image(image)
