"""From the boxes and masks of a graph to those of a photo, as mmdet's heads do it."""

import numpy as np

from . import run_lengths
from .results import Detection


def to_photo(
    outputs: dict[str, np.ndarray],
    size: tuple[int, int],
    photo_size: tuple[int, int],
    mask_threshold: float | None,
) -> Detection:
    """The result in pixels of the photo.

    Args:
        outputs: `boxes`, `scores`, `labels` and perhaps `masks` of the graph, see `Manifest`.
        size: rows and columns of the image that the graph took, without padding.
        photo_size: those of the photo.
        mask_threshold: see `Manifest`.
    """
    scale = [size[1] / photo_size[1], size[0] / photo_size[0]] * 2
    if 'masks' not in outputs:
        bboxes = outputs['boxes'] * np.array([1 / s for s in scale], np.float32)
        return Detection(outputs['labels'], outputs['scores'], bboxes)
    bboxes = outputs['boxes'] / np.array(scale, np.float32)
    masks = [
        paste(mask_MM, box, photo_size, mask_threshold)
        for mask_MM, box in zip(outputs['masks'], bboxes, strict=True)
    ]
    return Detection(outputs['labels'], outputs['scores'], bboxes, masks)


def paste(
    mask_MM: np.ndarray, box: np.ndarray, photo_size: tuple[int, int], threshold: float
) -> dict:
    """Run lengths of a mask that is stretched over its box.

    Args:
        mask_MM: probabilities, float32.
        box: x1 y1 x2 y2, float32.
        photo_size: rows and columns.
        threshold: of the probability interpolated at the center of a pixel.
    """
    height, width = photo_size
    left, top = np.maximum(np.floor(box[:2]) - 1, 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:]) + 1, (width, height)).astype(int)
    # Bilinear interpolation is a linear map of the rows and one of the columns.
    down = _interpolation(top, bottom, box[1], box[3], len(mask_MM))
    across = _interpolation(left, right, box[0], box[2], len(mask_MM))
    inside_YX = down @ mask_MM @ across.T >= threshold
    return run_lengths.encode(inside_YX, top, left, photo_size)


def _interpolation(first: int, end: int, low: float, high: float, samples: int) -> np.ndarray:
    """Weights of `samples` over the range from `low` to `high` at the pixels `first` … `end`.

    Returns:
        np.ndarray: float32 [pixels, samples]; zero where a neighbour lies beyond the samples, and
            NaN, which is below any threshold, as torch has them.
    """
    with np.errstate(divide='ignore', invalid='ignore'):  # of a box without extent
        grid = (np.arange(first, end, dtype=np.float32) + np.float32(0.5) - low) / (high - low)
        grid = grid * 2 - 1
        grid[np.isinf(grid)] = 0
        place = (grid + 1) * np.float32(samples / 2) - np.float32(0.5)
        below = np.floor(place)
        weights = np.zeros((max(end - first, 0), samples), np.float32)
        for index, weight in ((below, 1 - (place - below)), (below + 1, place - below)):
            within = np.flatnonzero((index >= 0) & (index < samples))
            weights[within, index[within].astype(int)] = weight[within]
        weights[np.isnan(place)] = np.nan
    return weights
