"""The operator's tests run where there is torch, triton, numpy, pytest and hypothesis, and no more.

On a machine with a GPU the Triton kernels run on it; without one they are interpreted, on small
shapes (`tests/conftest.py` chooses before triton is imported).
"""

import pytest
import torch


@pytest.fixture(scope='session')
def device() -> str:
    """Where the Triton backend runs."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'
