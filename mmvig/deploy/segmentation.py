"""From the output of a graph to the label map of a photo, as mmseg's segmentors do it."""

import functools
from collections.abc import Callable

import numpy as np


def slide(
    run: Callable[[np.ndarray], np.ndarray],
    image_NCYX: np.ndarray,
    crop: tuple[int, int],
    stride: tuple[int, int],
) -> np.ndarray:
    """Logits of an image, averaged over overlapping windows.

    Args:
        run: gives the logits [1, classes, Y, X] of a window.
        image_NCYX: [1, 3, Y, X].
        crop: rows and columns of a window; the last ones end at the border.
        stride: from one window to the next.
    """
    rows, columns = (
        _windows(length, *one)
        for length, *one in zip(image_NCYX.shape[2:], crop, stride, strict=True)
    )
    total, count = 0, 0
    for row in rows:
        for column in columns:
            logits = run(np.ascontiguousarray(image_NCYX[:, :, row, column]))
            if isinstance(total, int):
                shape = image_NCYX.shape[2:]
                total = np.zeros((*logits.shape[:2], *shape), np.float32)
                count = np.zeros(shape, np.float32)
            total[:, :, row, column] += logits
            count[row, column] += 1
    return total / count


def _windows(length: int, crop: int, stride: int) -> list[slice]:
    number = max(length - crop + stride - 1, 0) // stride + 1
    ends = (min(i * stride + crop, length) for i in range(number))
    return [slice(max(end - crop, 0), end) for end in ends]


def label_map(
    logits_CYX: np.ndarray, photo_size: tuple[int, int], align_corners: bool
) -> np.ndarray:
    """The class of the largest logit at each pixel of the photo, as `label_type` has it.

    Args:
        logits_CYX: of the image without padding.
        photo_size: rows and columns, to which logits are interpolated.
        align_corners: whether the centers of the corner pixels stay in place, not their corners.
    """
    logits_YXC = np.ascontiguousarray(logits_CYX.transpose(1, 2, 0))
    y0, y1, wy = _neighbours(logits_YXC.shape[0], photo_size[0], align_corners)
    x0, x1, wx = _neighbours(logits_YXC.shape[1], photo_size[1], align_corners)
    wx = wx[:, None]

    @functools.lru_cache(maxsize=2)  # neighbours share a row of the logits
    def across(y: int) -> np.ndarray:
        return logits_YXC[y, x0] * (1 - wx) + logits_YXC[y, x1] * wx

    labels_YX = np.empty(photo_size, label_type(len(logits_CYX)))
    for y in range(photo_size[0]):  # by rows: all logits at once would take much memory
        labels_YX[y] = (across(y0[y]) * (1 - wy[y]) + across(y1[y]) * wy[y]).argmax(axis=-1)
    return labels_YX


def label_type(classes: int) -> type:
    """What holds the labels of so many classes."""
    return np.uint8 if classes <= 256 else np.uint16


def _neighbours(
    samples: int, pixels: int, align_corners: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For linear interpolation of samples at pixels: both neighbours, and the second one's weight.

    In float32 from the start, as in torch: elsewhere than in torch, by a thousandth of a sample,
    is another label at some pixels.
    """
    target = np.arange(pixels, dtype=np.float32)
    if align_corners:
        place = target * (np.float32(samples - 1) / np.float32(max(pixels - 1, 1)))
    else:
        scale = np.float32(samples) / np.float32(pixels)
        place = np.maximum(scale * (target + np.float32(0.5)) - np.float32(0.5), 0)
    below = np.minimum(place.astype(int), samples - 1)
    weight = np.clip(place - below.astype(np.float32), 0, 1)
    return below, np.minimum(below + 1, samples - 1), weight


def resize_labels(labels_YX: np.ndarray, photo_size: tuple[int, int]) -> np.ndarray:
    """Labels at the nearest pixels: for a graph that gives no logits to interpolate."""
    (y0, _, wy), (x0, _, wx) = (
        _neighbours(samples, pixels, align_corners=False)
        for samples, pixels in zip(labels_YX.shape, photo_size, strict=True)
    )
    return labels_YX[np.ix_(y0 + (wy > 0.5), x0 + (wx > 0.5))]
