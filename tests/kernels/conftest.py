"""The operator's tests run where there is torch, triton, numpy and pytest, and no more.

On a machine with a GPU the Triton kernels run on it; without one they are interpreted, on small
shapes (`tests/conftest.py` chooses before triton is imported).
"""

from importlib.util import find_spec

import pytest
import torch

# Calls at random need hypothesis.
collect_ignore = [] if find_spec('hypothesis') else ['test_bi_gla_fuzz.py', 'test_triton.py']


def pytest_report_header() -> str | None:
    return f'left out without hypothesis: {", ".join(collect_ignore)}' if collect_ignore else None


@pytest.fixture(scope='session')
def device() -> str:
    """Where the Triton backend runs."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'
