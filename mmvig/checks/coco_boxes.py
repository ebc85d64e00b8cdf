"""Forms of boxes other than x, y, width, height in pixels, which a whole file has by mistake."""

from pathlib import Path

import numpy as np

from .coco_table import Table
from .errors import UserError

# Of boxes x1, y1, x2, y2 all make sense as corners. Read as x, y, width, height most of those in
# the right or lower half reach far over the border, where no annotator draws.
MOST = 0.95
MANY = 0.2
FAR = 0.1  # of the side of the image
LEAST = 4  # boxes; of fewer nothing can be told


def check_box_form(path: Path, table: Table) -> None:
    """The boxes of a file are in pixels, and have a corner and a size.

    Raises:
        UserError: they look like shares of the image, or like two corners; says by what.
    """
    rows = np.flatnonzero(np.isfinite(table.box).all(1) & (table.image >= 0))
    if not rows.size:
        return
    box = table.box[rows]
    shares = ((box >= 0) & (box <= 1)).all(1) & (box % 1 > 0).any(1)
    if shares.mean() > 0.5:
        row = rows[np.argmax(shares)]
        raise UserError(
            f'expected boxes in pixels (x, y, width, height) in {path}, {shares.sum()} of '
            f'{rows.size} lie within 0 … 1, as shares of the image, such as {_of(table, row)}: '
            'multiply them by the width and the height'
        )
    as_corners = _are_corners(box, table.width[rows], table.height[rows], table.area[rows])
    if as_corners is not None:
        row = rows[as_corners]
        raise UserError(
            f'expected boxes (x, y, width, height) in {path}, they look like two corners '
            f'(x1, y1, x2, y2), such as {_of(table, row)}: write x2 - x1 and y2 - y1 for the last '
            'two'
        )


def _are_corners(
    box: np.ndarray, width: np.ndarray, height: np.ndarray, area: np.ndarray
) -> int | None:
    """An example if the boxes are two corners each; None if not."""
    x, y, w, h = box.T
    inside = (w >= x) & (h >= y) & (w <= width + 1) & (h <= height + 1)
    if len(box) < LEAST or inside.mean() < MOST:
        return None
    beyond = (x + w > (1 + FAR) * width) | (y + h > (1 + FAR) * height)
    if beyond.mean() >= MANY:
        return int(np.argmax(beyond))
    between = (w - x) * (h - y)
    by_area = (np.abs(area - between) <= 0.01 * between) & (between < 0.95 * w * h)
    return int(np.argmax(by_area)) if by_area.mean() >= MOST else None


def _of(table: Table, row: int) -> str:
    image = table.images[table.image[row]]
    return f'{table.entries[row]["bbox"]} of an image of {image["width"]}×{image["height"]}'
