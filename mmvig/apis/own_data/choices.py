"""Sizes, anchors and length of a training, chosen by the sizes of images and objects."""

import math
from typing import NamedTuple

import numpy as np

from .parts import Part

KEPT_SIDE = 640  # images of at most this side, in the median, keep their sizes
SIDES = (640, 896, 1280, 1792)
SMALLEST = 16  # pixels that a small object should have: two cells of the map of stride 8
CROP, LARGE_CROP = 320, 512
FEW, MEDIAN = 24, 30  # pixels: images are enlarged if half of the objects have less than the first
FACTORS = (1.5, 2.0)
STEPS, BATCH = 2000, 2  # the recipe's batch; about 20 minutes of one CPU core
LEAST_EPOCHS, MOST_EPOCHS = 8, 100
USUAL_MOST = 100  # detections of an image in mmdet's test settings


class Sizes(NamedTuple):
    """What a split measures.

    Attributes:
        side: longest side of the images in pixels, median.
        small, median, large: sides of objects, √(width·height), in pixels: a tenth are smaller than
            the first, one in twenty is larger than the last.
        crowded: number of objects that one image in a hundred exceeds.
    """

    side: float
    small: float
    median: float
    large: float
    crowded: float


class Choice(NamedTuple):
    """A setting and why.

    Attributes:
        words: for the user.
        value: None to keep the recipe's.
    """

    words: str
    value: float | list[int] | None = None


class Choices(NamedTuple):
    """Settings of a detector's training."""

    scale_factor: Choice
    longest_side: Choice
    crop_size: Choice
    anchors: Choice
    epochs: Choice
    most: Choice
    log_interval: int


def measure(part: Part) -> Sizes:
    """Sizes of the images and objects of a split that has some of both."""
    content = part.content
    sides = [max(entry['width'], entry['height']) for entry in content['images']]
    boxes = np.array([entry['bbox'] for entry in content['annotations']], float)
    objects = np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 0))
    small, median, large = np.percentile(objects, [10, 50, 95])
    counts = dict.fromkeys((entry['id'] for entry in content['images']), 0)
    for entry in content['annotations']:
        counts[entry['image_id']] = counts.get(entry['image_id'], 0) + 1
    crowded = float(np.percentile(list(counts.values()), 99))
    return Sizes(float(np.median(sides)), float(small), float(median), float(large), crowded)


def choose(sizes: Sizes, images: int, masks: bool) -> Choices:
    """Settings for a training.

    Args:
        sizes: of the split to train on.
        images: of it.
        masks: whether the recipe is Mask R-CNN, else it is RetinaNet.
    """
    factor, side, scale = _choose_size(sizes)
    crop = _choose_crop(sizes, scale)
    choose_anchors = _proposal_anchors if masks else _dense_anchors
    anchors = choose_anchors(sizes.small * scale, sizes.large * scale)
    steps = math.ceil(images / BATCH)
    count = min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(STEPS / steps)))
    epochs = Choice(f'{count} epochs of {steps} steps of {BATCH} images', count)
    if sizes.crowded > USUAL_MOST:
        value = math.ceil(sizes.crowded / 100) * 100
        most = Choice(f"up to {value} detections in an image, where COCO's AP counts 100", value)
    else:
        most = Choice(f'up to {USUAL_MOST} detections in an image')
    return Choices(factor, side, crop, anchors, epochs, most, max(1, min(10, steps // 5)))


def choose_side(side: float, small: float = math.inf) -> int | None:
    """The longest side to which images are resized, None to keep their sizes.

    Args:
        side: longest side of the images, median.
        small: side of small objects; they keep `SMALLEST` pixels if images have them.
    """
    if side <= KEPT_SIDE:
        return None
    return next((s for s in SIDES if s < side and small * s / side >= SMALLEST), None)


def _choose_size(sizes: Sizes) -> tuple[Choice, Choice, float]:
    side = choose_side(sizes.side, sizes.small)
    if side is not None:
        words = f'images resized to {side} pixels at most, at which small objects have {SMALLEST}'
        return Choice('', 1.0), Choice(words, side), side / sizes.side
    if sizes.median < FEW and sizes.side <= 2 * KEPT_SIDE:
        factor = next((f for f in FACTORS if f * sizes.median >= MEDIAN), FACTORS[-1])
        words = (
            f'images enlarged {factor:g} times, as half of the objects have less than {FEW} pixels'
        )
        return Choice(words, factor), Choice(''), factor
    return Choice('images keep their sizes', 1.0), Choice(''), 1.0


def _choose_crop(sizes: Sizes, scale: float) -> Choice:
    large = sizes.large * scale
    if large <= 0.6 * CROP:
        return Choice(f'training on crops of {CROP}×{CROP}')
    words = f'training on crops of {LARGE_CROP}×{LARGE_CROP}, as objects reach {large:.0f} pixels'
    return Choice(words, LARGE_CROP)


def _proposal_anchors(small: float, large: float) -> Choice:
    """Scales of anchors on maps of strides 4 to 64; one scale spans a factor of 16."""
    first = _largest((8, 4, 2, 1), 4, small)
    scales = [first]
    if large > 1.5 * 64 * first:
        scales.append(4 * first)
    words = f'anchors of {4 * first} to {64 * scales[-1]} pixels'
    return Choice(words, None if scales == [8] else scales)


def _dense_anchors(small: float, large: float) -> Choice:
    """Base of anchors on maps of strides 8 to 128, three to an octave."""
    base = _largest((4, 2, 1), 8, small)
    words = f'anchors of {8 * base} to {round(128 * base * 2 ** (2 / 3))} pixels'
    return Choice(words, None if base == 4 else base)


def _largest(scales: tuple[int, ...], stride: int, small: float) -> int:
    """The largest scale whose smallest anchor still overlaps small objects by half or more."""
    return next((scale for scale in scales if stride * scale <= 1.2 * small), scales[-1])
