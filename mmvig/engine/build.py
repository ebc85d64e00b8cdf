"""The model of a config, for inspection and counting rather than training."""

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmvig.checks import check_model
from mmvig.checks.pure_python import by_names


def build_model(cfg: Config) -> nn.Module:
    """The config's model for one process, in eval mode, as built: without pretrained weights.

    Raises:
        UserError: its parts do not fit together.
    """
    cfg = by_names(cfg)
    init_default_scope(cfg.get('default_scope'))
    model_cfg = cfg.model.copy()
    model_cfg.backbone = dict(model_cfg.backbone, init_cfg=None)
    model = revert_sync_batchnorm(MODELS.build(model_cfg))
    check_model(model)
    model.eval()  # not chained: some models' eval returns nothing
    return model
