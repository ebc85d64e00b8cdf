"""Label images of a huge image, by a model of mmseg."""

from contextlib import ExitStack

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmvig.apis.inference import Predictor
from mmvig.streaming import RowSink, Workspace, stream_segmentation
from mmvig.streaming.disk import check_free_space

from .image import RasterImage
from .job import Job, LabelFile, OnProgress
from .labels import LabelTiff
from .overview import ReducedLabels


def segment(
    predictor: Predictor,
    image: RasterImage,
    job: Job,
    workspace: Workspace,
    picture_YXC: np.ndarray,
    on_progress: OnProgress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Write the label images of a job; returns the picture with labels, and the labels reduced.

    Raises:
        StreamingError: the model cannot be run by strips.
        OSError: a disk has not enough space, or a file cannot be written.
    """
    size_YX = image.shape[:2]
    palette = predictor.model.dataset_meta.get('palette')
    reduced = ReducedLabels(size_YX)
    with ExitStack() as stack:
        sink = _Several([reduced])
        for file in job.labels:
            _check_disk(file, size_YX)
            writer = LabelTiff(file.path, size_YX, file.dtype, file.first, palette, image)
            sink.sinks.append(stack.enter_context(writer))
        stream_segmentation(
            predictor.model, image, sink, stack.enter_context(workspace), channel_order='bgr',
            strip_rows=job.strip_rows, on_progress=on_progress,
        )  # fmt: skip
    labels_YX = reduced.joined()
    return _draw(predictor, picture_YXC, labels_YX), labels_YX


class _Several:
    """Gives rows to several sinks."""

    def __init__(self, sinks: list[RowSink]) -> None:
        self.sinks = sinks

    def write(self, top: int, rows: np.ndarray) -> None:
        for sink in self.sinks:
            sink.write(top, rows)


def _check_disk(file: LabelFile, size_YX: tuple[int, int]) -> None:
    """For labels that do not compress."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    needed = size_YX[0] * size_YX[1] * np.dtype(file.dtype).itemsize
    check_free_space(file.path, needed, 'a label image')


class Visualizer(SegLocalVisualizer):
    """mmseg's, which sorts a class's pixels as lists to name it: seconds, and 1 GiB of memory."""

    def _get_center_loc(self, mask: np.ndarray) -> np.ndarray:
        """Column and row of the middle pixel in the first of the rows with the most pixels."""
        row = (mask == 1).sum(axis=1).argmax()
        columns = np.flatnonzero(mask[row] == 1)
        return np.array([columns[len(columns) // 2], row])


def _draw(predictor: Predictor, picture_YXC: np.ndarray, labels_YX: np.ndarray) -> np.ndarray:
    """As `Segmentation.draw`, without its inferencer."""
    if picture_YXC.size == 3:  # mmseg takes the mask of a single pixel as an index
        return picture_YXC
    visualizer = Visualizer(alpha=0.5)
    visualizer.set_dataset_meta(**predictor.model.dataset_meta)
    data = torch.from_numpy(labels_YX[None].astype(np.int64))
    sample = SegDataSample(pred_sem_seg=PixelData(data=data))
    visualizer.add_datasample('huge', picture_YXC, sample, draw_gt=False)
    return visualizer.get_image()
