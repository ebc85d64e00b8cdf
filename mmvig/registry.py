"""The registry scope `mmvig`: `type='mmvig.MultiScaleViG'` builds in a config of any MM library.

mmengine imports this module when it meets the scope, and `locations` when it looks a name up, so a
config needs no `custom_imports`.
"""

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import Registry

MODELS = Registry('model', parent=ROOT_MODELS, scope='mmvig', locations=['mmvig.backbone'])
DATASETS = Registry('dataset', parent=ROOT_DATASETS, scope='mmvig', locations=['mmvig.datasets'])
