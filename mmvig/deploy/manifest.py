"""What an exported model's file tells about the model: how images are prepared, what comes out.

The exporter writes it and `Deployed` reads it, as JSON in the file's metadata.
"""

import dataclasses
import json

KEY = 'mmvig'  # of the entry in the metadata of an ONNX file
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A model's interface.

    The graph takes `image`, float32 [N, 3, Y, X], prepared as told here. It gives, by task:

    - classification: `scores` [N, classes], the softmax;
    - segmentation: `logits` [N, classes, Y, X], or `labels` int64 [N, Y, X];
    - detection, where it also takes `image_size` int64 [2], the rows and columns without padding
      and N is 1: `boxes` [D, 4] as x1 y1 x2 y2 in pixels of `image`, `scores` [D], `labels`
      int64 [D], and `masks` [D, M, M], probabilities over the box, if the model has masks.

    Attributes:
        task: 'classification', 'segmentation' or 'detection'.
        classes: names in the order of the model's output.
        palette: RGB of each class for drawing, 0 … 255.
        steps: changes of an image's geometry, in order, each a dict with its `type`: 'resize'
            (`scale` [long edge, short edge] kept in ratio, or [width, height] if not `keep_ratio`;
            or `scale_factor`), 'resize_edge' (`edge`, `size`) and 'center_crop' (`size` [height,
            width]). Resizing has `backend` 'cv2' or 'pillow' and `interpolation`.
        mean, std: per channel, of values 0 … 255, in the order of `channel_order`.
        channel_order: 'RGB' or 'BGR', of the tensor that the model takes.
        pad_divisor: rows and columns are padded on the right and below to multiples of it.
        pad_value: put there after normalisation.
        sliding_window: None, or `crop` and `stride`, each [rows, columns].
        align_corners: how logits are resized to the size of the photo.
        mask_threshold: probability from which a pixel belongs to an instance.
        config: name of the config.
        version: of mmvig that wrote the file.
        form: of linear attention in the graph: 'standard', 'contrib' or 'portable'.
    """

    task: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    steps: tuple[dict, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str
    config: str
    version: str
    form: str
    pad_divisor: int = 1
    pad_value: float = 0.0
    sliding_window: dict | None = None
    align_corners: bool = False
    mask_threshold: float | None = None

    def to_json(self) -> str:
        return json.dumps({'format': FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> 'Manifest':
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is no such text, or of a version that this one does not know.
        """
        try:
            entries = json.loads(text)
            version = entries.pop('format')
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError("expected a manifest of mmvig in the file's metadata") from error
        if version != FORMAT:
            raise ValueError(
                f'expected format {FORMAT} in the metadata of the file, got {version!r}: '
                f'use the version of mmvig that exported it, or export it again'
            )
        try:
            return cls(**{name: _as_tuple(value) for name, value in entries.items()})
        except TypeError as error:
            raise ValueError(
                f'expected the entries of a manifest in the metadata of the file: {error}'
            ) from error


def _as_tuple(value):
    """Lists as tuples, which JSON does not tell apart."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
