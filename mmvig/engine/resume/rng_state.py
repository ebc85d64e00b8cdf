"""The states of a process's random number generators, as a checkpoint can hold them."""

import random

import numpy as np
import torch


def get_rng_state() -> dict:
    """The states of Python's, NumPy's and torch's global generators, and of the current GPU's.

    Tensors and numbers, which `torch.load` reads with `weights_only=True`.
    """
    _, words, gauss = random.getstate()
    _, keys, *rest = np.random.get_state()
    state = {
        'python': torch.tensor(words),
        'python_gauss': gauss,
        'numpy': torch.from_numpy(keys.astype(np.int64)),
        'numpy_rest': rest,
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict) -> None:
    """Set the generators to what `get_rng_state` returned; its tensors may be on any device."""
    random.setstate((random.getstate()[0], tuple(state['python'].tolist()), state['python_gauss']))
    keys = state['numpy'].cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', keys, *state['numpy_rest']))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
