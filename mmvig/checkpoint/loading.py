"""Reading weights safely, and into a backbone: no key on either side is left out silently."""

import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
from torch import Tensor, distributed, nn

from mmvig.messages import join_some
from mmvig.optional import import_or_none

from . import safe_globals
from .input_channels import fit_input_channels
from .official_keys import from_official, is_official

OUTPUT_NORM = re.compile(r'norm\d*\.(weight|bias)')
# The final norm of a plain backbone, `norm`, is in every file; numbered ones are in ours only.
ADDED_NORM = re.compile(r'norm\d+\.(weight|bias)')


def read(source: str, map_location: str = 'cpu') -> dict:
    """Load a checkpoint file or address without running code from it (`weights_only=True`).

    Besides tensors, numbers and containers only what mmengine's own checkpoints hold is allowed:
    NumPy scalars and arrays, and its history buffers.

    Raises:
        FileNotFoundError: no such file, or it could not be fetched; says where to put it.
        ValueError: the file is cut short, is no checkpoint, or holds more than tensors and numbers.
    """
    try:
        if source.startswith(('http://', 'https://')):
            return _fetch(source, map_location)
        if not Path(source).is_file():
            raise FileNotFoundError(f'expected a checkpoint file at {source}, there is none')
        _check_kind(source)
        safe_globals.allow()
        return torch.load(source, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        # torch wraps the cause in advice to load without the check.
        advice = (
            r'(?s).*(trusted source\.|WeightsUnpickler error:)|Check the documentation.*'
            r'|Please use `torch.serialization.*'
        )
        cause = ' '.join(re.sub(advice, '', str(error)).split())
        raise ValueError(
            f'{source} is refused: expected a checkpoint with only tensors, numbers and containers '
            f'in it, but it is no checkpoint or asks for more, which could run code ({cause}). '
            'Save it again as a plain state dict.'
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(
            f'{source} is damaged: expected a whole PyTorch checkpoint, it cannot be read '
            f'({str(error).partition(" This is an internal")[0]}). Fetch or write it again.'
        ) from error


def _check_kind(path: str) -> None:
    """What torch writes is a zip archive, or a bare pickle as it did before 1.6."""
    with open(path, 'rb') as file:
        start = file.read(16)
    if not start.startswith((b'PK', b'\x80')):
        got = f'it begins with {start!r}' if start else 'it is empty'
        raise ValueError(f'expected a PyTorch checkpoint in {path}, {got}')


def _fetch(url: str, map_location: str) -> dict:
    together = distributed.is_available() and distributed.is_initialized()
    first = not together or distributed.get_rank() == 0
    if not first:
        distributed.barrier()  # the first process fills the cache for all
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location=map_location, progress=False, weights_only=True
        )
    except (URLError, OSError) as error:
        name = url.rsplit('/', 1)[-1]
        place = Path(torch.hub.get_dir(), 'checkpoints', name)
        raise FileNotFoundError(
            f'could not fetch {url} ({error}). Put the file at {place}, or name a copy of it by '
            f'--cfg-options model.backbone.init_cfg.checkpoint=/path/to/{name}; train from random '
            'weights with --cfg-options model.backbone.init_cfg=None'
        ) from error
    finally:
        if together and first:
            distributed.barrier()


def weights_of(checkpoint: Mapping, source: str = 'the checkpoint') -> Mapping[str, Tensor]:
    """The state dict in what `read` returned: bare, under `model` or under `state_dict`.

    A message calls the checkpoint `source`.

    Raises:
        ValueError: there is none.
    """
    weights = checkpoint
    if isinstance(checkpoint, Mapping):
        weights = checkpoint.get('model', checkpoint.get('state_dict', checkpoint))
    if (
        not isinstance(weights, Mapping)
        or not weights
        or not all(isinstance(value, Tensor) for value in weights.values())
    ):
        content = (
            join_some(checkpoint) if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
        )
        raise ValueError(
            f'expected a state dict in {source}, bare or under `model` or `state_dict`; '
            f'got {content}'
        )
    return weights


def backbone_weights(
    checkpoint: Mapping, prefix: str = '', source: str = 'the checkpoint'
) -> dict[str, Tensor]:
    """The backbone's weights in our names, from an official file, one of a runner, or a bare one.

    Of a whole model's weights keeps those under `prefix`, by default `backbone.`.
    """
    weights = weights_of(checkpoint, source)
    if not prefix and any(key.startswith('backbone.') for key in weights):
        prefix = 'backbone.'
    weights = {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }
    if not weights:
        raise ValueError(f'expected keys that start with {prefix!r}, {source} has none')
    return from_official(weights) if is_official(weights) else weights


def load_pretrained(backbone: nn.Module, source: str, prefix: str = '') -> None:
    """Load `source` into a backbone; what does not fit is an error that names every key.

    Three differences are expected and only logged: a classification head in the file is left out,
    output norms, which a classification model lacks, keep their present values, and weights for
    images of three channels are fitted to another number (`fit_input_channels`).

    Raises:
        FileNotFoundError, ValueError: see `read`.
        ValueError: keys are missing, unknown or of another shape.
    """
    weights = backbone_weights(read(source), prefix, source)
    head = [key for key in weights if key.startswith('head.')]
    weights = {key: value for key, value in weights.items() if key not in head}
    shapes = shapes_of(backbone)
    weights, fitted = fit_input_channels(weights, shapes)
    new_norms = [key for key in shapes if key not in weights and ADDED_NORM.fullmatch(key)]
    unused_norms = [key for key in weights if key not in shapes and OUTPUT_NORM.fullmatch(key)]
    check_fit(backbone, weights, source, except_for={*new_norms, *unused_norms})
    backbone.load_state_dict(
        {key: value for key, value in weights.items() if key not in unused_norms}, strict=False
    )
    for what, keys in (
        ('left out the head', head),
        ('kept as they were, as the file has none', new_norms),
        ('left out output norms this backbone does not use', unused_norms),
    ):
        if keys:
            _log(f'{source}: {what}: {join_some(keys)}')
    if fitted:
        _log(f'{source}: {fitted}')


def _log(message: str) -> None:
    """To the log of the run, or Python's where mmengine is not installed."""
    mmengine_logging = import_or_none('mmengine.logging')
    if mmengine_logging is None:
        logging.getLogger(__name__).info(message)
    else:
        mmengine_logging.print_log(message, logger='current')


def check_fit(
    model: nn.Module, weights: Mapping[str, Tensor], source: str, except_for: Collection[str] = ()
) -> None:
    """Compare the keys and shapes of `weights` with the model's, but for those in `except_for`.

    Raises:
        ValueError: keys are missing, unknown or of another shape; the message names them.
    """
    check_shapes(shapes_of(model), weights, source, type(model).__name__, except_for)


def shapes_of(model: nn.Module) -> dict[str, torch.Size]:
    """The shape of every entry of the model's state dict."""
    return {key: value.shape for key, value in model.state_dict().items()}


def check_shapes(
    shapes: Mapping[str, torch.Size],
    weights: Mapping[str, Tensor],
    source: str,
    owner: str,
    except_for: Collection[str] = (),
) -> None:
    """As `check_fit`, for a model called `owner` whose state dict has these `shapes`."""
    shapes = {key: shape for key, shape in shapes.items() if key not in except_for}
    problems = {
        'missing': [key for key in shapes if key not in weights],
        'unknown': [key for key in weights if key not in shapes and key not in except_for],
        'of another shape': [
            f'{key} (expected {list(shapes[key])}, got {list(value.shape)})'
            for key, value in weights.items()
            if key in shapes and value.shape != shapes[key]
        ],
    }
    if any(problems.values()):
        listing = '; '.join(f'{name}: {join_some(keys)}' for name, keys in problems.items() if keys)
        raise ValueError(f'{source} does not fit {owner}: {listing}')
