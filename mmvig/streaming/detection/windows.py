"""Regions of interest grouped so that a window of a map holds all that a group is sampled from."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmvig.streaming.maps import Map

MARGIN = 3  # positions around a region: samples are interpolated, and small regions enlarged
MOST_REGIONS = 256  # in a group


class Window(NamedTuple):
    """Positions top … bottom - 1, left … right - 1 of the map of a level, and whose they are."""

    level: int
    top: int
    bottom: int
    left: int
    right: int
    regions: list[int]


def group_regions(
    rois_N5: Tensor, levels_N: Tensor, maps: list[Map], strides: list[int], most_positions: int
) -> Iterator[Window]:
    """Windows that cover all regions.

    A window at a border of its map ends there, so that what is sampled beyond it is the same.

    Args:
        rois_N5: batch index, x1, y1, x2, y2 in pixels.
        levels_N: the map that each is sampled from.
        maps, strides: by level.
        most_positions: in a window, unless a single region needs more.
    """
    boxes = rois_N5[:, 1:].double().cpu().numpy()
    levels = levels_N.cpu().numpy()
    for level, (source, stride) in enumerate(zip(maps, strides, strict=True)):
        regions = np.flatnonzero(levels == level)
        corners = boxes[regions].reshape(-1, 2, 2) / stride  # [N, first or second, x or y]
        size_XY = np.array(source.shape[1::-1])
        first = np.floor(corners.min(1)) - MARGIN
        first = first.clip(0, size_XY - 1).astype(int)
        last = np.ceil(corners.max(1)) + MARGIN
        last = np.maximum(last, first + 1).clip(max=size_XY).astype(int)
        order = np.argsort(first[:, 1], kind='stable')
        yield from _group(level, regions[order], first[order], last[order], most_positions)


def _group(
    level: int, regions: np.ndarray, first: np.ndarray, last: np.ndarray, most_positions: int
) -> Iterator[Window]:
    """From the top: regions are added to a window until it would be too large."""
    window = None
    for region, (left, top), (right, bottom) in zip(
        regions.tolist(), first.tolist(), last.tolist(), strict=True
    ):
        alone = Window(level, top, bottom, left, right, [region])
        if window is not None:
            joined = _join(window, alone)
            positions = (joined.bottom - joined.top) * (joined.right - joined.left)
            if len(joined.regions) <= MOST_REGIONS and positions <= most_positions:
                window = joined
                continue
            yield window
        window = alone
    if window is not None:
        yield window


def _join(window: Window, other: Window) -> Window:
    return Window(
        window.level,
        min(window.top, other.top),
        max(window.bottom, other.bottom),
        min(window.left, other.left),
        max(window.right, other.right),
        window.regions + other.regions,
    )


def read_window(source: Map, window: Window, part_bytes: int) -> Tensor:
    """A window of a map, [1, C, rows, columns]; of whole rows `part_bytes` are read at once."""
    rows = max(1, part_bytes // (source.shape[1] * source.shape[2] * source.dtype.itemsize))
    shape = (1, source.shape[2], window.bottom - window.top, window.right - window.left)
    out = None
    for top in range(window.top, window.bottom, rows):
        x_BYXC = source.rows(top, min(top + rows, window.bottom))
        if out is None:
            out = torch.empty(shape, dtype=x_BYXC.dtype, device=x_BYXC.device)
        at = top - window.top
        part = x_BYXC[:, :, window.left : window.right]
        out[:, :, at : at + part.shape[1]] = part.permute(0, 3, 1, 2)
    return out
