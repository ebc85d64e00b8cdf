"""From a photo to the tensor that a model takes: the test pipelines of the MM libraries.

Sizes are computed and rounded as there, pixels by the same functions, so that the tensors are equal
to the last bit.
"""

import cv2
import numpy as np

from .manifest import Manifest

CV2_INTERPOLATIONS = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
    'lanczos': cv2.INTER_LANCZOS4,
}


def prepare(image_YXC: np.ndarray, manifest: Manifest) -> tuple[np.ndarray, tuple[int, int]]:
    """The tensor of a photo.

    Args:
        image_YXC: BGR, uint8.
        manifest: of the model.

    Returns:
        image_NCYX: float32 [1, 3, Y, X], padded.
        size: rows and columns without padding.
    """
    for step in manifest.steps:
        image_YXC = _STEPS[step['type']](image_YXC, step)
    if manifest.channel_order == 'RGB':
        image_YXC = image_YXC[:, :, ::-1]
    image_CYX = image_YXC.transpose(2, 0, 1).astype(np.float32, order='C')
    image_CYX -= np.array(manifest.mean, np.float32)[:, None, None]
    image_CYX /= np.array(manifest.std, np.float32)[:, None, None]
    size = image_CYX.shape[1:]
    below, right = (-length % manifest.pad_divisor for length in size)
    if below or right:
        padding = ((0, 0), (0, below), (0, right))
        image_CYX = np.pad(image_CYX, padding, constant_values=manifest.pad_value)
    return image_CYX[None], size


def _resize(image_YXC: np.ndarray, step: dict) -> np.ndarray:
    """mmcv's Resize."""
    height, width = image_YXC.shape[:2]
    scale = step.get('scale')
    if scale is None:
        scale = _scaled((width, height), step['scale_factor'])
    if step.get('keep_ratio'):
        ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
        scale = _scaled((width, height), ratio)
    return _interpolate(image_YXC, scale, step)


def _scaled(size: tuple[int, int], factor: float | list[float]) -> tuple[int, int]:
    factors = factor if isinstance(factor, list | tuple) else (factor, factor)
    return tuple(int(s * float(f) + 0.5) for s, f in zip(size, factors, strict=True))


def _resize_edge(image_YXC: np.ndarray, step: dict) -> np.ndarray:
    """mmpretrain's ResizeEdge, which rounds down."""
    height, width = image_YXC.shape[:2]
    edge, size = step['edge'], step['size']
    of_width = {'width': True, 'short': width < height, 'long': width > height}.get(edge, False)
    scale = (size, int(size * height / width)) if of_width else (int(size * width / height), size)
    return _interpolate(image_YXC, scale, step)


def _center_crop(image_YXC: np.ndarray, step: dict) -> np.ndarray:
    """mmcv's CenterCrop, which leaves an edge that is too short as it is."""
    slices = []
    for length, crop in zip(image_YXC.shape[:2], step['size'], strict=True):
        crop = min(crop, length)
        first = round((length - crop) / 2)  # halves to even, as there
        slices.append(slice(first, first + crop))
    return image_YXC[tuple(slices)]


_STEPS = {'resize': _resize, 'resize_edge': _resize_edge, 'center_crop': _center_crop}


def _interpolate(image_YXC: np.ndarray, size: tuple[int, int], step: dict) -> np.ndarray:
    """Resize to (width, height) by the library that the step names.

    Raises:
        ValueError: an image so narrow that nothing is left of an edge.
        ImportError: the library is Pillow, which is not installed.
    """
    if min(size) < 1:
        rows, columns = image_YXC.shape[:2]
        raise ValueError(
            f'expected an image that can be resized for the model, {columns}×{rows} pixels would '
            f'become {size[0]}×{size[1]}'
        )
    name = step.get('interpolation', 'bilinear')
    if step.get('backend', 'cv2') == 'cv2':
        return cv2.resize(image_YXC, tuple(size), interpolation=CV2_INTERPOLATIONS[name])
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "expected Pillow, as this model's images are resized by it: pip install pillow",
            name='PIL',
        ) from error
    resampling = Image.Resampling[name.upper()]
    return np.asarray(Image.fromarray(image_YXC).resize(tuple(size), resampling))
