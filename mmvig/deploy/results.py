"""What a deployed model finds in a photo; the fields are what `python -m mmvig predict` writes."""

from typing import NamedTuple

import numpy as np


class Detection(NamedTuple):
    """Instances, those of the highest scores first.

    Attributes:
        labels: int64 [D], places in the model's `classes`.
        scores: float32 [D].
        bboxes: float32 [D, 4], x1 y1 x2 y2 in pixels of the photo.
        masks: D dicts of COCO's compressed run lengths, `size` and `counts`, as pycocotools takes
            them and `mmvig.deploy.run_lengths.decode` does; None of a model without masks.
    """

    labels: np.ndarray
    scores: np.ndarray
    bboxes: np.ndarray
    masks: list[dict] | None = None

    def as_dict(self) -> dict:
        """Of plain lists, for JSON; the layout of mmdet's inferencer."""
        masks = {} if self.masks is None else {'masks': self.masks}
        arrays = {name: getattr(self, name).tolist() for name in ('labels', 'scores', 'bboxes')}
        return arrays | masks


class Segmentation(NamedTuple):
    """A label for each pixel of the photo.

    Attributes:
        labels: uint8 [Y, X], places in the model's `classes`; uint16 for more than 256 of them.
    """

    labels: np.ndarray


class Classification(NamedTuple):
    """The class of the highest score: its place in the model's `classes`, its name, the score."""

    label: int
    name: str
    score: float

    def as_dict(self) -> dict:
        """For JSON."""
        return {'class': self.name, 'score': self.score}
