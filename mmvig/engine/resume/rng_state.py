"""The random number generators of a process as tensors and numbers, to be kept in a checkpoint."""

import random

import numpy as np
import torch


def capture() -> dict:
    """The states of Python's, NumPy's and torch's global generators, and of the GPU in use."""
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


def restore(state: dict) -> None:
    """Set the generators to what `capture` returned, wherever its tensors are by now."""
    random.setstate((random.getstate()[0], tuple(state['python'].tolist()), state['python_gauss']))
    keys = state['numpy'].cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', keys, *state['numpy_rest']))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
