"""Runs an exported file beside the model that it was made of."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmvig.checks.errors import UserError, one_line

from .exportable import Exportable

SIZES = ((65, 97), (128, 160), (224, 320))  # rows and columns; one odd, none the traced one
# Largest error over the largest value of an output. Measured with random weights: 2.5e-6 (maps) to
# 1.1e-5 (boxes) in float32 in every form, 1.2e-3 to 6e-3 in float16.
BUDGETS = {'float32': 1e-4, 'float16': 2e-2}


def verify(path: Path, model: Exportable, dtype: str, name: str | None = None) -> float:
    """Compare the file with the model at `SIZES`, on two images where the batch is dynamic.

    Labels may differ where they are near a tie, which a rounding decides: of all pixels as much as
    the budget.

    Args:
        path: of the file.
        model: what it was made of, in float32.
        dtype: that it was exported in.
        name: of the file in messages.

    Returns:
        The largest error.

    Raises:
        UserError: the file does not run, or an error is above the budget of the dtype.
    """
    run = open_session(path)
    largest = 0.0
    for size in SIZES:
        place = f'an image of {size[0]}×{size[1]}'
        try:
            differences = compare(run, model, size)
        except Exception as error:  # those of onnxruntime have no common class
            raise UserError(
                f'{name or path} is not written: it cannot run {place}: {one_line(error)[:300]}'
            ) from error
        for output, found in differences.items():
            if not found <= BUDGETS[dtype]:  # NaN is no success
                raise UserError(
                    f'{name or path} is not written: its {output} of {place} differs from '
                    f"torch's by {found:.1e} of the largest value, expected at most "
                    f'{BUDGETS[dtype]:.0e}'
                )
            largest = max(largest, found)
    return largest


def open_session(path: Path):
    """The file in onnxruntime: a function of arrays by name to arrays by name.

    Raises:
        UserError: onnxruntime does not take it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
    except Exception as error:  # its errors have no common class
        raise UserError(
            f'onnxruntime {onnxruntime.__version__} cannot run this form: {one_line(error)[:300]}; '
            'install a later one, or take --form portable'
        ) from error
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))


@torch.no_grad()
def compare(run, model: Exportable, size: tuple[int, int]) -> dict[str, float]:
    """The `difference` of each output for images of a size."""
    tensors = inputs_of(model, size)
    outputs = model.module(*tensors)
    expected = {name: x.numpy() for name, x in zip(model.outputs, outputs, strict=True)}
    found = run({name: x.numpy() for name, x in zip(model.inputs, tensors, strict=True)})
    if model.manifest.task == 'detection':
        from .detection.matching import pair  # needs mmdet

        found, expected = pair(found, expected)
    return {name: difference(found[name], expected[name]) for name in model.outputs}


def inputs_of(model: Exportable, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Images of noise, smooth enough that not all of it is lost in the first layers."""
    rng = torch.Generator().manual_seed(0)
    batch = 2 if 0 in model.dynamic_shapes[0] else 1
    coarse = torch.randn(batch, 3, *(-(-length // 8) for length in size), generator=rng)
    image = torch.nn.functional.interpolate(coarse, size, mode='bilinear')
    image = image + 0.3 * torch.randn(image.shape, generator=rng)
    others = {'image': image, 'image_size': torch.tensor(size)}
    return tuple(others[name] for name in model.inputs)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error over the largest value; of integers, the share that differs."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float('inf')
    if not expected.size:
        return 0.0
    if np.issubdtype(expected.dtype, np.integer):
        return float((found != expected).mean())
    largest = np.abs(expected).max()
    return float(np.abs(found - expected).max() / (largest if largest > 0 else 1))
