"""The registry scope `mmvig`: `type='mmvig.MultiScaleViG'` builds in a config of any MM library.

mmengine imports this module when it meets the scope, and `locations` when it looks a name up, so a
config needs no `custom_imports`. Without mmengine there are no configs and nothing is registered:
the backbones are then plain torch modules.
"""

from types import SimpleNamespace

from mmvig.optional import import_or_none


class _NoRegistry:
    """Stands in for every registry where mmengine is not installed: classes stay as they are."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def register_module(self):
        return lambda cls: cls


_REGISTRIES = (
    'MODELS', 'DATASETS', 'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'HOOKS', 'RUNNERS',
    'STRATEGIES',
)  # fmt: skip
root = import_or_none('mmengine.registry') or SimpleNamespace(
    Registry=_NoRegistry, **dict.fromkeys(_REGISTRIES)
)

MODELS = root.Registry(
    'model',
    parent=root.MODELS,
    scope='mmvig',
    locations=[
        'mmvig.models.backbones',
        'mmvig.models.necks',
        'mmvig.models.data_preprocessors',
        'mmvig.models.test_time_augs',
    ],
)
DATASETS = root.Registry(
    'dataset', parent=root.DATASETS, scope='mmvig', locations=['mmvig.datasets']
)
OPTIM_WRAPPERS = root.Registry(
    'optimizer wrapper',
    parent=root.OPTIM_WRAPPERS,
    scope='mmvig',
    locations=['mmvig.engine.optimizers'],
)
OPTIM_WRAPPER_CONSTRUCTORS = root.Registry(
    'optimizer wrapper constructor',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmvig',
    locations=['mmvig.engine.optimizers'],
)
HOOKS = root.Registry(
    'hook',
    parent=root.HOOKS,
    scope='mmvig',
    locations=['mmvig.engine.hooks', 'mmvig.engine.resume'],
)
RUNNERS = root.Registry(
    'runner', parent=root.RUNNERS, scope='mmvig', locations=['mmvig.engine.runner']
)
STRATEGIES = root.Registry(
    'strategy', parent=root.STRATEGIES, scope='mmvig', locations=['mmvig.engine.strategies']
)
