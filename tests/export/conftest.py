"""Graphs that several tests of exporting look at: each model is traced once."""

import pytest

from mmvig.checks.errors import UserError
from mmvig.export.packages import require_packages

NEED_PACKAGES = (
    'backbones',
    'cli_export',
    'detection',
    'detection_file',
    'forms',
    'learnt_detector',
    'models',
    'simplify',
    'torch_program',
    'verify',
)

try:
    require_packages()
except UserError:  # as with the upstream packages, whose torch is too old
    collect_ignore = [f'test_{name}.py' for name in NEED_PACKAGES]


@pytest.fixture(scope='session')
def traced_backbones() -> dict:
    """Traced backbones by their names in CASES, filled by `tests.support.exports.traced`."""
    return {}


@pytest.fixture(scope='session')
def small_segmentor():
    """An exportable UperNet with two stages, and its trace."""
    from mmvig.export.dynamic import for_any_size
    from mmvig.export.models import make_exportable
    from mmvig.export.trace import trace
    from tests.support.exports import segmentation_config, segmentation_model

    cfg = segmentation_config()
    model = make_exportable(segmentation_model(cfg), cfg)
    return model, trace(model._replace(module=for_any_size(model.module)))
