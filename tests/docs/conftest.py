"""The folder in which the documentation is tried out."""

from pathlib import Path

import pytest

from tests.support.docs_workspace import make_workspace


@pytest.fixture(scope='session')
def docs_workspace(workspace, tmp_path_factory) -> Path:
    """A folder with all files that the pages assume; tests may add to it."""
    folder = tmp_path_factory.mktemp('docs_workspace')
    make_workspace(folder, workspace / 'data/mini')
    return folder
