"""Pictures of results, drawn by OpenCV over the photo."""

import cv2
import numpy as np

from . import run_lengths
from .manifest import Manifest
from .results import Classification, Detection, Segmentation

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STROKE = 1 / 900  # of letters, as a share of the picture
_OPACITY = 0.5  # of masks and label maps
_SMALLEST = 0.005  # share of the pixels from which a region of a label map gets its name


def draw(
    image_YXC: np.ndarray,
    result: Detection | Segmentation | Classification,
    manifest: Manifest,
    score_thr: float,
) -> np.ndarray:
    """The photo with the result over it.

    Args:
        image_YXC: the photo, BGR uint8.
        result: of the photo.
        manifest: of the model, for names and colors of its classes.
        score_thr: instances are drawn from this score on.

    Returns:
        np.ndarray: BGR uint8, of the size of the photo.
    """
    picture = image_YXC.copy()
    if isinstance(result, Detection):
        _draw_instances(picture, result, manifest, score_thr)
    elif isinstance(result, Segmentation):
        _draw_label_map(picture, result.labels, manifest)
    else:
        _write(picture, f'{result.name} {100 * result.score:.0f} %', (0, 0), (0, 0, 0))
    return picture


def _draw_instances(
    picture: np.ndarray, result: Detection, manifest: Manifest, score_thr: float
) -> None:
    """Masks first, then boxes, then names; the highest score on top."""
    shown = np.flatnonzero(result.scores >= score_thr)[::-1]
    colors = {i: _bgr(manifest, result.labels[i]) for i in shown}
    for i in shown if result.masks else ():
        mask = run_lengths.decode(result.masks[i])
        picture[mask] = _blend(picture[mask], np.array(colors[i]))
        outlines, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, outlines, -1, colors[i], _thickness(picture))
    last = np.array(picture.shape[1::-1] * 2) - 1  # column and row of the picture
    boxes = np.clip(np.rint(result.bboxes), 0, last).astype(int)
    corners = {i: boxes[i].tolist() for i in shown}
    for i, (left, top, right, bottom) in corners.items():
        cv2.rectangle(picture, (left, top), (right, bottom), colors[i], _thickness(picture))
    for i, (left, top, _, _) in corners.items():
        text = f'{manifest.classes[result.labels[i]]} {100 * result.scores[i]:.0f}'
        _, height = _field(picture, text)
        _write(picture, text, (left, top - height), colors[i])


def _draw_label_map(picture: np.ndarray, labels_YX: np.ndarray, manifest: Manifest) -> None:
    """Colors over the photo, and the name of each class in the middle of its largest region."""
    colors = np.array([_bgr(manifest, label) for label in range(len(manifest.classes))])
    picture[:] = _blend(picture, colors[labels_YX])
    for label in np.unique(labels_YX):
        region = (labels_YX == label).astype(np.uint8)
        if region.mean() < _SMALLEST:
            continue
        # The pixel farthest from the border of the region; the border of the photo counts.
        inside = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        width, height = _field(picture, manifest.classes[label])
        corner = (int(column - width / 2), int(row - height / 2))
        _write(picture, manifest.classes[label], corner, tuple(colors[label].tolist()))


def _bgr(manifest: Manifest, label: int) -> tuple[int, int, int]:
    return tuple(manifest.palette[label][::-1])


def _blend(pixels: np.ndarray, color: np.ndarray) -> np.ndarray:
    return ((1 - _OPACITY) * pixels + _OPACITY * color).astype(np.uint8)


def _thickness(picture: np.ndarray, share: float = 1 / 400) -> int:
    """Of lines, in proportion to the picture."""
    return max(1, round(max(picture.shape[:2]) * share))


def _letters(picture: np.ndarray, text: str) -> tuple[float, int, int, int]:
    """Scale of the font, and of the text the width, the height and what reaches below its line."""
    scale = max(0.35, max(picture.shape[:2]) / 1600)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, _thickness(picture, _STROKE))
    return scale, width, height, below


def _field(picture: np.ndarray, text: str) -> tuple[int, int]:
    """Width and height of a text with the margin around it, a quarter of its height."""
    _, width, height, below = _letters(picture, text)
    margin = max(1, height // 4)
    return width + 2 * margin, height + below + 2 * margin


def _write(
    picture: np.ndarray, text: str, corner: tuple[int, int], color: tuple[int, int, int]
) -> None:
    """Text on a field of the color, whose left upper corner is moved into the picture."""
    field = _field(picture, text)
    left, top = (
        max(0, min(place, length - extent))
        for place, length, extent in zip(corner, picture.shape[1::-1], field, strict=True)
    )
    cv2.rectangle(picture, (left, top), (left + field[0], top + field[1]), color, cv2.FILLED)
    scale, width, height, _ = _letters(picture, text)
    margin = (field[0] - width) // 2
    light = np.dot(color, (0.114, 0.587, 0.299)) > 140  # luma of BGR
    cv2.putText(
        picture,
        text,
        (left + margin, top + margin + height),
        _FONT,
        scale,
        (0, 0, 0) if light else (255, 255, 255),
        _thickness(picture, _STROKE),
        cv2.LINE_AA,
    )
