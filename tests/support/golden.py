"""Deterministic weights and images of the golden cases: the same numbers from NumPy on any machine.

The files in `tests/golden/` hold outputs of the official code (hustvl/ViG @ dfb9d32) run on a CPU
in float32 with these weights; see README.md there.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[1] / 'golden'


def official_shapes(model: str) -> dict[str, list[int]]:
    """Key → shape of a classification model of the official release."""
    return json.loads((FOLDER / 'state_dict_keys.json').read_text())[model]


def results(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / f'{name}.npz'))


def weight(key: str, shape) -> Tensor:
    """The weight stored under an official key: normal noise, scaled by the kind of weight."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(shape))
    noise = noise.astype(np.float32)
    if len(shape) <= 1:
        if key.endswith('gk_proj.1.bias'):
            return torch.from_numpy(noise) * 2.0  # spreads the gates
        if key.endswith('weight'):
            return 1 + torch.from_numpy(noise) * 0.1
        return torch.from_numpy(noise) * 0.1
    return torch.from_numpy(noise) * int(np.prod(shape[1:])) ** -0.5


def weights(model: str) -> dict[str, Tensor]:
    """A whole official state dict."""
    return {key: weight(key, shape) for key, shape in official_shapes(model).items()}


def backbone_weights(model: str) -> dict[str, Tensor]:
    """The same for the official backbone class: output norms in place of the classifier."""
    found = {k: v for k, v in weights(model).items() if not k.startswith('classifier')}
    for i in range(4):
        shape = found[f'layers.{i}.blocks.0.norm.weight'].shape
        for kind in ('weight', 'bias'):
            found[f'outnorm{i}.{kind}'] = weight(f'outnorm{i}.{kind}', shape)
    return found


def image(height: int, width: int, batch: int = 1) -> Tensor:
    rng = np.random.default_rng(1234 + height * 1000 + width)
    noise = rng.standard_normal((batch, 3, height, width)).astype(np.float32)
    return torch.from_numpy(noise)


def relative(found: Tensor, expected) -> float:
    """The largest error over the largest expected value."""
    expected = torch.as_tensor(expected)
    return ((found - expected).abs().max() / expected.abs().max()).item()
